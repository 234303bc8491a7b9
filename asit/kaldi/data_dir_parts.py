"""Parts of a data directory: splitting it for parallel jobs, and subsets by utterance, speaker or label.

After Kaldi's ``utils/split_data.sh`` and ``utils/subset_data_dir.sh``.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence

from asit.errors import AsitError, nearest
from asit.io.atomic import temporary_name
from asit.kaldi import data_dir
from asit.kaldi.column_values import NO_LABEL
from asit.kaldi.data_dir import WHOLE_FILES, DataDir
from asit.kaldi.table import format_table

MARKER = ".split"


def split(path: str | os.PathLike[str], n: int, by_speaker: bool = False) -> list[str]:
    """Cut a directory into ``<path>/split<n>/<1…n>``, contiguous; the first parts take what remains.

    A split that is there, of the same kind and from unchanged files, is left as it is.

    Args:
        by_speaker: keep each speaker whole; parts are then as even as that allows.

    Raises:
        AsitError: fewer utterances (speakers) than parts, or tables whose utterances differ.
    """
    data = DataDir(os.fspath(path))
    if n < 1:
        raise AsitError(f"{data.path}: cannot split into {n} parts; expected at least 1")
    target = data.file(f"split{n}")
    outs = [os.path.join(target, str(j)) for j in range(1, n + 1)]
    state = _state(data, by_speaker)
    with contextlib.suppress(OSError), open(os.path.join(target, MARKER), encoding="utf-8") as stream:
        if stream.read() == state:
            return outs
    parts = _by_speaker(data, n) if by_speaker else _evenly(data, n)
    with replaced(target, MARKER) as folder:
        _write_parts(data, {os.path.join(folder, str(j)): part for j, part in enumerate(parts, 1)})
        with open(os.path.join(folder, MARKER), "w", encoding="utf-8") as stream:
            stream.write(state)
    return outs


def subset(path: str | os.PathLike[str], out: str | os.PathLike[str], utts: Sequence[str]) -> DataDir:
    """Write the directory `out` with the given utterances of `path` (see the ``choose_…`` functions).

    Raises:
        AsitError: no or unknown utterances, tables whose utterances differ, or an `out` that is no data directory.
    """
    data, out = DataDir(os.fspath(path)), os.fspath(out)
    known = data.utt2spk
    if not utts:
        raise AsitError(f"{out}: no utterance was chosen from {data.path}")
    unknown = [utt for utt in utts if utt not in known]
    if unknown:
        raise AsitError(f"{data.path}: no utterance '{unknown[0]}' ({len(unknown)} of {len(utts)} chosen are unknown)")
    check_apart(out, data.path)
    with replaced(out, "utt2spk") as folder:
        _write_parts(data, {folder: sorted(set(utts))})
    return DataDir(out)


def choose_first(data: DataDir, n: int) -> list[str]:
    """The first `n` utterances."""
    _enough(data.path, "utterances", n, len(data.utts))
    return data.utts[:n]


def choose_random(data: DataDir, n: int, seed: int = 0) -> list[str]:
    """`n` utterances by chance. A smaller choice with the same seed is part of a larger one."""
    _enough(data.path, "utterances", n, len(data.utts))
    return sorted(shuffled(data.utts, seed)[:n])


def choose_per_group(data: DataDir, groups: Mapping[str, Sequence[str]], n: int, seed: int = 0) -> list[str]:
    """Up to `n` utterances by chance of each group: of each speaker (spk2utt) or label (:func:`by_label`)."""
    if n < 1:
        raise AsitError(f"{data.path}: cannot choose {n} utterances of each; expected at least 1")
    return sorted({utt for utts in groups.values() for utt in shuffled(utts, seed)[:n]})


def choose_speakers(data: DataDir, speakers: Sequence[str]) -> list[str]:
    """All utterances of these speakers.

    Raises:
        AsitError: a speaker that the directory does not have.
    """
    for speaker in speakers:
        if speaker not in data.spk2utt:
            raise AsitError(f"{data.path}: no speaker '{speaker}'; {nearest(speaker, data.spk2utt)}")
    return sorted(utt for speaker in dict.fromkeys(speakers) for utt in data.spk2utt[speaker])


def by_label(data: DataDir) -> dict[str, list[str]]:
    """Label -> utterances that have it; those without any stand under "-"."""
    found: dict[str, list[str]] = {}
    for utt, labels in data.utt2label.items():
        for label in labels or (NO_LABEL,):
            found.setdefault(label, []).append(utt)
    return found


def shuffled(ids: Sequence[str], seed: int) -> list[str]:
    """Ids in an order that depends on the seed and each id only: not on the machine, the Python or other ids."""
    return sorted(ids, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())


def check_apart(out: str, source: str) -> None:
    """Refuse an output directory that is a source or holds it.

    Raises:
        AsitError: naming both.
    """
    a, b = os.path.realpath(out), os.path.realpath(source)
    if a == b or b.startswith(a + os.sep):
        raise AsitError(f"{out}: would replace its source {source}; choose another output directory")


@contextlib.contextmanager
def replaced(target: str, mark: str) -> Iterator[str]:
    """A new folder that takes the place of `target` when the block ends well; `mark` shows that it is ours."""
    if os.path.lexists(target) and not os.path.exists(os.path.join(target, mark)):
        leftovers = os.listdir(target) if os.path.isdir(target) else [target]
        if leftovers and not all(name.isdigit() for name in leftovers):  # Kaldi's own splits hold 1 … n only
            raise AsitError(f"{target}: exists and does not look like what is to be written; move it away")
    folder, old = temporary_name(target), temporary_name(target) + ".old"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        os.makedirs(folder)
        yield folder
        if os.path.lexists(target):
            os.rename(target, old)
        os.rename(folder, target)
    except OSError as error:
        raise AsitError(f"{target}: cannot write: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write_parts(data: DataDir, parts: Mapping[str, Sequence[str]]) -> None:
    """Write folder -> utterances (sorted), one table after the other so that one is in memory at a time."""
    kinds = data.tables()
    speakers = {f: list(dict.fromkeys(map(data.utt2spk.__getitem__, utts))) for f, utts in parts.items()}
    recordings: dict[str, list[str]] = {}
    for folder in parts:
        os.makedirs(folder, exist_ok=True)
    for name in sorted(kinds, key=lambda n: n != "segments"):  # segments first: they tell the recordings
        table = data.utt2spk if name == "utt2spk" else data.table(name)
        keys = {"utt": parts, "spk": speakers, "reco": recordings}[kinds[name]]
        for folder in parts:
            try:
                chosen = {key: table[key] for key in keys[folder]}
            except KeyError as error:
                how = "extract the features again" if name in data_dir.FEATURE_TABLES else "add its line"
                raise AsitError(
                    f"{data.file(name)}: {error} is missing; {how}: the tables must have the same keys"
                ) from None
            _plain(os.path.join(folder, name), chosen)
            if name == "segments":
                recordings[folder] = data_dir.recordings_of(chosen.values())
    for folder, utts in parts.items():
        _plain(os.path.join(folder, "spk2utt"), data_dir.inverse({utt: data.utt2spk[utt] for utt in utts}))
        copy_whole(data.path, folder)


def copy_whole(source: str, folder: str) -> None:
    """Copy what holds for every part of a directory: frame_shift, labels.txt, conf/."""
    for name in WHOLE_FILES:
        path = os.path.join(source, name)
        if os.path.isdir(path):
            shutil.copytree(path, os.path.join(folder, name), dirs_exist_ok=True)
        elif os.path.exists(path):
            shutil.copyfile(path, os.path.join(folder, name))


def _plain(path: str, table: Mapping[str, str]) -> None:
    """Write a table without fsync: the folder is new and gets its name at the end."""
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        stream.write(format_table(path, table))


def _evenly(data: DataDir, n: int) -> list[list[str]]:
    utts = data.utts
    _enough(data.path, "utterances", n, len(utts), "parts")
    size, rest = divmod(len(utts), n)
    starts = [j * size + min(j, rest) for j in range(n + 1)]
    return [utts[a:b] for a, b in itertools.pairwise(starts)]


def _by_speaker(data: DataDir, n: int) -> list[list[str]]:
    """Cuts at the speaker borders nearest to even ones, each part with at least one speaker."""
    groups = [utts.split() for utts in data_dir.inverse(data.utt2spk).values()]
    _enough(data.path, "speakers", n, len(groups), "parts")
    ends = [0]
    for group in groups:
        ends.append(ends[-1] + len(group))
    cuts = [0]
    for j in range(1, n):
        allowed = range(cuts[-1] + 1, len(groups) - (n - j) + 1)
        cuts.append(min(allowed, key=lambda border, j=j: abs(ends[border] - j * ends[-1] / n)))
    cuts.append(len(groups))
    return [sorted(u for g in groups[a:b] for u in g) for a, b in itertools.pairwise(cuts)]


def _enough(path: str, what: str, wanted: int, found: int, to: str = "") -> None:
    if not 1 <= wanted <= found:
        aim = f"{wanted} {to}" if to else str(wanted)
        raise AsitError(f"{path}: {found} {what} are too few for {aim}" if wanted > found else f"{path}: {wanted} < 1")


def _state(data: DataDir, by_speaker: bool) -> str:
    """What a split depends on: its kind, and name, size and time of each file."""
    lines = ["by speaker" if by_speaker else "by utterance"]
    names = [*data.tables(), *(name for name in WHOLE_FILES if data.has(name))]
    names += [os.path.join("conf", n) for n in sorted(os.listdir(data.file("conf")))] if data.has("conf") else []
    for name in names:
        stat = os.stat(data.file(name))
        lines.append(f"{name} {stat.st_size} {stat.st_mtime_ns}")
    return "\n".join(lines) + "\n"
