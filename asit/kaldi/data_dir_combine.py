"""Joining data directories, and copying one under other ids.

After Kaldi's ``utils/combine_data.sh`` and ``utils/copy_data_dir.sh``; unlike them, an id that occurs twice and
differing feature settings are errors.
"""

from __future__ import annotations

import filecmp
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from asit.config import Options, option
from asit.errors import AsitError
from asit.kaldi import data_dir
from asit.kaldi.data_dir import WHOLE_FILES, DataDir, write_data_dir
from asit.kaldi.data_dir_parts import check_apart, copy_whole, replaced
from asit.kaldi.table import read_table

logger = logging.getLogger(__name__)


def combine(out: str | os.PathLike[str], dirs: Sequence[str | os.PathLike[str]]) -> DataDir:
    """Write the directory `out` with all utterances of `dirs`.

    A table that some of them lack is left out, with a message; but segments are made (whole recordings, from
    utt2dur) for those without. A recording or speaker may be in several if its lines agree.

    Raises:
        AsitError: an utterance in two directories, a recording or speaker with different values, differing
            frame_shift, conf/ or labels.txt, speakers out of order, an `out` that is no data directory.
    """
    out, sources = os.fspath(out), [DataDir(os.fspath(d)) for d in dirs]
    if not sources:
        raise AsitError(f"{out}: expected at least one directory to combine, found none")
    for source in sources:
        check_apart(out, source.path)
    _same_settings(sources)
    segmented = any(source.has("segments") for source in sources)
    names = {name for source in sources for name in source.tables()} | ({"segments"} if segmented else set())
    tables: dict[str, dict[str, str]] = {}
    for name in sorted(names):
        lacking = [s.path for s in sources if not s.has(name)] if name != "segments" else []
        if lacking:
            logger.warning("%s: %s is left out: %s has none", out, name, lacking[0])
            continue
        index = data_dir.index_of(name, segmented)
        tables[name] = _joined(name, index == "utt", sources)
    with replaced(out, "utt2spk") as folder:
        write_data_dir(folder, tables)
        for source in sources[::-1]:
            copy_whole(source.path, folder)
    return DataDir(out)


@dataclass(frozen=True)
class Renaming(Options):
    """How ids change in a copy."""

    utt_prefix: str = option("", "put before each utterance id")
    utt_suffix: str = option("", "put after each utterance id")
    spk_prefix: str = option("", "put before each speaker id")
    spk_suffix: str = option("", "put after each speaker id")
    prefix_speaker: bool = option(False, "put the speaker and '-' before each utterance id, as Kaldi's order needs")


def copy(path: str | os.PathLike[str], out: str | os.PathLike[str], renaming: Renaming | None = None) -> DataDir:
    """Copy a directory to `out`, with other ids if asked. Recording ids stay where there are segments.

    Audio and archives are not copied: the tables go on pointing to them.

    Raises:
        AsitError: malformed tables, ids that cannot be sorted by speaker, an `out` that is no data directory.
    """
    data, out, to = DataDir(os.fspath(path)), os.fspath(out), renaming or Renaming()
    check_apart(out, data.path)

    def speaker(name: str) -> str:
        return f"{to.spk_prefix}{name}{to.spk_suffix}"

    def utterance(name: str) -> str:
        first = f"{speaker(data.utt2spk[name])}-" if to.prefix_speaker else ""
        return f"{first}{to.utt_prefix}{name}{to.utt_suffix}"

    rename: dict[str, Callable[[str], str]] = {"utt": utterance, "spk": speaker, "reco": str}
    tables: dict[str, dict[str, str]] = {}
    for name, kind in data.tables().items():
        table = data.table(name)
        try:
            tables[name] = {rename[kind](key): value for key, value in table.items()}
        except KeyError as error:
            raise AsitError(f"{data.file(name)}: {error} is not in utt2spk; add it there or remove the line") from None
    tables["utt2spk"] = {utt: speaker(name) for utt, name in tables["utt2spk"].items()}
    if len(tables["utt2spk"]) != len(data.utt2spk):
        raise AsitError(f"{out}: two utterances would get the same id; choose another prefix or suffix")
    with replaced(out, "utt2spk") as folder:
        write_data_dir(folder, tables)
        copy_whole(data.path, folder)
        if data.has("stats.yaml"):  # mean and deviation of the same utterances
            shutil.copyfile(data.file("stats.yaml"), os.path.join(folder, "stats.yaml"))
    return DataDir(out)


def _joined(name: str, unique: bool, sources: Sequence[DataDir]) -> dict[str, str]:
    """One table of all sources."""
    merged: dict[str, str] = {}
    origin: dict[str, str] = {}
    for source in sources:
        table = _whole_recordings(source) if name == "segments" and not source.has(name) else source.table(name)
        for key in sorted(merged.keys() & table.keys()):
            if unique or merged[key] != table[key]:
                what = "is in both" if unique else "differs between"
                raise AsitError(
                    f"{source.file(name)}: '{key}' {what} {origin[key]} and {source.path}; "
                    "rename it in one (asit-copy-data-dir --utt-prefix …) or remove it"
                )
        merged.update(table)
        origin.update(dict.fromkeys(table, source.path))
    return merged


def _whole_recordings(source: DataDir) -> Mapping[str, str]:
    """Segments that are the whole recordings."""
    if not source.has("utt2dur"):
        raise AsitError(
            f"{source.path}: others have segments, it has none and no utt2dur to make them from; "
            "write utt2dur (seconds of each utterance) first"
        )
    return {utt: f"{utt} 0 {seconds}" for utt, seconds in read_table(source.file("utt2dur")).items()}


def _same_settings(sources: Sequence[DataDir]) -> None:
    """frame_shift, conf/ and labels.txt agree where they are there."""
    first: dict[str, str] = {}
    for source in sources:
        for name in WHOLE_FILES:
            path = source.file(name)
            inside = sorted(os.listdir(path)) if os.path.isdir(path) else [""]
            for part in inside if os.path.exists(path) else []:
                key, file = os.path.join(name, part), os.path.join(path, part)
                if part == "":
                    key, file = name, path
                other = first.setdefault(key, file)
                if other != file and not filecmp.cmp(other, file, shallow=False):
                    raise AsitError(
                        f"{file}: differs from {other}; features or labels made with different settings cannot be "
                        "combined; extract them again with the same ones"
                    )
