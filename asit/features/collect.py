"""From the parts that :mod:`asit.features.extract` wrote to the tables of the data directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from asit.config import REQUIRED, Options, load, option, to_dict
from asit.errors import AsitError
from asit.features.extract import judge, remark, settings_text, utterances, write_lines
from asit.features.fbank import FbankSettings
from asit.io.atomic import remove, sweep, write_text
from asit.kaldi.data_dir import DataDir
from asit.kaldi.data_dir_validate import Checks, validate
from asit.kaldi.table import read_table, read_text, write_table

COLUMNS = ("utt2num_frames", "utt2dur", "utt2crc")  # tables of a part that become the data directory's


@dataclass(frozen=True)
class CollectSettings(Options):
    """Merge the parts of asit-make-fbank into feats.scp, utt2num_frames, utt2dur, frame_shift and conf/fbank.yaml."""

    data_dir: str = option(REQUIRED, "data directory that gets the tables")
    out_dir: str = option(REQUIRED, "folder of the archives")
    name: str = option(REQUIRED, "name of the archives without part number and .ark, such as raw_fbank_train")
    nj: int = option(0, "number of parts, <name>.1 to <name>.<nj>; 0: one archive without a number")


def collect(settings: CollectSettings) -> tuple[int, int]:
    """Write the tables; how many utterances have features, and how many there are.

    Raises:
        AsitError: a part is missing, unfinished, of other settings or of other utterances than the data
            directory's; fewer than 95 % of the utterances succeeded (the list is ``failed_utts``). ``feats.scp``
            is written last; after an error it is not there.
    """
    data = DataDir(settings.data_dir)
    names = utterances(data)
    stem = os.path.join(settings.out_dir, settings.name)
    stems = [f"{stem}.{j}" for j in range(1, settings.nj + 1)] if settings.nj else [stem]
    front_end = _same_settings(stems)
    tables: dict[str, dict[str, str]] = {}
    for suffix in ("scp", *COLUMNS, "failed_utts", "loud_utts"):
        tables[suffix] = _merged([f"{s}.{suffix}" for s in stems])
    feats, failed = tables["scp"], tables["failed_utts"]
    _same_utterances(settings, names, feats | failed if failed else feats)
    for suffix in COLUMNS:
        if tables[suffix].keys() != feats.keys():
            odd = min(tables[suffix].keys() ^ feats.keys())
            raise AsitError(f"{stem}: '{odd}' is in one of scp and {suffix}, not in both; run asit-make-fbank again")
    for folder in (data.path, data.file("conf")):
        sweep(folder)
    remove(data.file("feats.scp"))
    remove(data.file("failed_utts"))
    if failed:
        write_lines(data.file("failed_utts"), failed)
        judge(data.path, len(feats), failed, data.file("failed_utts"))
    if settings.nj:  # the one process of an archive without a number has said it
        remark(data.path, len(feats), tables["loud_utts"], front_end)
    for suffix in COLUMNS:
        write_table(data.file(suffix), tables[suffix])
    write_text(data.file("frame_shift"), f"{front_end.frame_shift / 1000:g}\n")
    write_text(data.file(os.path.join("conf", "fbank.yaml")), settings_text(front_end))
    write_table(data.file("feats.scp"), feats)
    counts = len(feats), len(names)
    if not failed:  # with failures the tables differ until asit-fix-data-dir has run
        del tables, feats, names, data  # validation reads them from the files: gigabytes for millions of clips
        validate(settings.data_dir, Checks(require_feats=True, spk_sort=False, allow_pipes=True))
    return counts


def _same_settings(stems: list[str]) -> FbankSettings:
    """The settings that all parts were made with."""
    files = [f"{stem}.fbank.yaml" for stem in stems]
    missing = [file for file in files if not os.path.exists(file)]
    if missing:
        raise AsitError(
            f"{missing[0]}: no such file: {len(missing)} of {len(files)} parts are not finished; run asit-make-fbank "
            "for them"
        )
    first, *others = (load(FbankSettings, file) for file in files)
    for file, other in zip(files[1:], others, strict=True):
        ours, theirs = to_dict(first), to_dict(other)
        for key, value in ours.items():
            if theirs[key] != value:
                raise AsitError(
                    f"{file}: {key} is {theirs[key]}, expected {value} as in {files[0]}; run asit-make-fbank again "
                    "for all parts with the same options"
                )
    return first


def _merged(files: list[str]) -> dict[str, str]:
    """One table of several without common keys; any of them may be empty."""
    merged: dict[str, str] = {}
    for file in files:
        table = read_table(file) if not os.path.exists(file) or read_text(file) else {}
        twice = merged.keys() & table.keys()
        if twice:
            raise AsitError(f"{file}: '{min(twice)}' is in another part too; run asit-make-fbank again for all parts")
        merged.update(table)
    return merged


def _same_utterances(settings: CollectSettings, names: list[str], found: Mapping[str, str]) -> None:
    """Every utterance was treated, and no other."""
    missing, foreign = sorted(set(names) - found.keys()), sorted(found.keys() - set(names))
    for odd, what in ((missing, "are in no part"), (foreign, "of the parts are not in the data directory")):
        if odd:
            raise AsitError(
                f"{settings.data_dir}: {len(odd)} utterances {what}, such as '{odd[0]}': the parts "
                f"{os.path.join(settings.out_dir, settings.name)}.* were made from another data directory or for "
                "another --nj; run asit-make-fbank again for all parts"
            )
