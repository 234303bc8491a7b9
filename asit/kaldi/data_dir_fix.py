"""Fixing a data directory: sort, drop what is malformed or not in all tables, keep the originals.

Follows Kaldi's ``utils/fix_data_dir.sh``; unlike it, every dropped line is listed with its reason, and a feats.scp
that is older than a corpus that has grown is no reason to drop the new clips.
"""

from __future__ import annotations

import logging
import os
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from asit.config import Options, option
from asit.errors import AsitError
from asit.io import pipes
from asit.io.atomic import write_text
from asit.kaldi import column_values, data_dir
from asit.kaldi.column_values import NO_LABEL
from asit.kaldi.data_dir import FEATURE_TABLES, DataDir
from asit.kaldi.data_dir_stale import BACKUP, STATS
from asit.kaldi.events import parse_event
from asit.kaldi.table import cut, format_table, key_problem, read_text, several_lines

logger = logging.getLogger(__name__)

REMOVED = "removed.txt"
CONTRADICTION = "says that nothing happens, and other lines have its events"
FAILED = "failed_utts"  # of asit-collect-feats: utterance and reason

_VALUES: dict[str, Callable[[str], object]] = {
    "utt2spk": column_values.check_speaker,
    "segments": column_values.parse_segment,
    "utt2dur": column_values.parse_duration,
    "reco2dur": column_values.parse_duration,
    "utt2num_frames": column_values.parse_frames,
    "utt2crc": str,
    "utt2label": column_values.parse_labels,
    "events": parse_event,
}


@dataclass(frozen=True)
class FixSettings(Options):
    """How far fixing may go."""

    drop_missing: bool = option(False, "also drop utterances whose file in wav.scp does not exist")
    drop_without_feats: bool = option(
        False, "also drop utterances that feats.scp and the like lack, not only those in failed_utts"
    )
    min_kept: float = option(0.0, "fail and change nothing when a smaller share of the utterances would be kept")
    spk_sort: bool = option(True, "refuse an utt2spk that cannot be sorted by speaker too")


@dataclass(frozen=True)
class Fixed:
    """What :func:`fix` did: utterances before and after, tables rewritten, "file:line key: reason" per dropped line,
    utterances dropped."""

    before: int
    kept: int
    rewritten: tuple[str, ...]
    removed: tuple[str, ...]
    dropped: tuple[str, ...] = ()


def fix(path: str | os.PathLike[str], settings: FixSettings | None = None) -> Fixed:
    """Make a directory right: tables sorted and unique, the same utterances in all, spk2utt from utt2spk.

    The files that change are kept in ``.backup/`` as they were, with ``removed.txt``, the list of dropped lines.
    A directory that is right already stays untouched, its ``.backup`` too.

    Raises:
        AsitError: no utt2spk, a file that is not UTF-8, utterances whose features have not been extracted (unless
            `drop_without_feats`), no utterance left, fewer than `min_kept`, or an order of speakers that sorting
            cannot fix. Nothing is changed then.
    """
    settings = settings or FixSettings()
    data = DataDir(os.fspath(path))
    kinds = data.tables()
    if "utt2spk" not in kinds:
        raise AsitError(f"{data.file('utt2spk')}: no such file; it lists the utterances, so write it first")
    if "segments" in kinds and "wav.scp" not in kinds:
        raise AsitError(f"{data.file('wav.scp')}: no such file, but there are segments of its recordings")
    work = _Work(data, kinds)
    before = len(work.tables["utt2spk"])
    if settings.drop_missing and "wav.scp" in kinds:
        work.keep("wav.scp", lambda _, name: pipes.is_pipe(name) or os.path.isfile(name), "its file does not exist")
    if not settings.drop_without_feats:
        work.refuse_lagging_features()
    work.intersect()
    kept = len(work.tables["utt2spk"])
    if kept == 0 or kept < settings.min_kept * before:
        raise AsitError(
            f"{data.path}: {kept} of {before} utterances would be kept, nothing was changed; the first reason: "
            + (work.removed[0] if work.removed else "utt2spk is empty")
        )
    problem = data_dir.speaker_order_problem(_in_order(work.tables["utt2spk"]))
    if settings.spk_sort and problem:
        raise AsitError(f"{data.file('utt2spk')}: {problem}; nothing was changed")
    dropped = tuple(sorted(work.gone["utt2spk"] - work.tables["utt2spk"].keys()))
    return Fixed(before, kept, tuple(work.store()), tuple(work.removed), dropped)


@dataclass
class _Work:
    """The tables of a directory in memory, and what has been dropped from them.

    Of millions of utterances most of the memory is the tables themselves: they share their keys, and what else there
    is for each line is a number.
    """

    data: DataDir
    kinds: dict[str, str]
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    lines: dict[str, array[int]] = field(default_factory=dict)  # numbers of the tables' lines, in their order
    gone: dict[str, set[str]] = field(default_factory=dict)  # keys of dropped lines, of which others may be there
    removed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        shared: dict[str, str] = {}
        for name in self.kinds:
            self._read(name, shared)

    def _drop(self, name: str, line: int, key: str, reason: str) -> None:
        self.removed.append(f"{self.data.file(name)}:{line} {key}: {reason}")
        self.gone[name].add(key)

    def _read(self, name: str, shared: dict[str, str]) -> None:
        """The usable lines; broken ones are noted as dropped. ``shared``: the keys of all tables."""
        found = self.tables[name] = {}
        lines = self.lines[name] = array("q")
        self.gone[name] = set()
        line_of: dict[str, int] = {}  # of the keys in found, once one of them comes again
        check = _VALUES.get(name)
        for number, line in enumerate(_lines(read_text(self.data.file(name)).removeprefix("\ufeff")), 1):
            key, value = cut(line.replace("\r", "").strip(" \t"))
            if not key:
                continue
            key = shared.setdefault(key, key)
            reason = key_problem(key)
            if not value and name != "text":
                reason = reason or "no value"
            if check and not reason:
                try:
                    check(value)
                except ValueError as error:
                    reason = str(error)
            more = key in found and several_lines(name)
            if key in found and found[key] != value and not more:
                line_of = line_of or dict(zip(found, lines, strict=True))
                reason = reason or f"another value than on line {line_of[key]}"
            if more and not reason:
                if value not in found[key].split("\n"):
                    found[key] += f"\n{value}"
            elif reason:
                self._drop(name, number, key, reason)
            elif key not in found:
                found[key] = value
                lines.append(number)
                if line_of:
                    line_of[key] = number
        if several_lines(name):  # what is left of an utterance would say that nothing happens in the rest of it
            gone = frozenset(self.gone[name])
            self.keep(name, lambda key, _: key not in gone, "another line of it is wrong")
            self.keep(name, lambda _, v: "\n" not in v or NO_LABEL not in v.split("\n"), CONTRADICTION)

    def keep(self, name: str, wanted: Callable[[str, str], bool], reason: str) -> bool:
        """Drop the lines of a table that are not wanted; whether there were any."""
        table, lines = self.tables[name], self.lines[name]
        bad = {key: number for (key, value), number in zip(table.items(), lines, strict=True) if not wanted(key, value)}
        if bad:
            self.lines[name] = array("q", (n for key, n in zip(table, lines, strict=True) if key not in bad))
        for key, number in bad.items():
            self._drop(name, number, key, reason)
            del table[key]
        return bool(bad)

    def refuse_lagging_features(self) -> None:
        """Raise AsitError where only tables of features lack an utterance, and not because its extraction failed."""
        features = [name for name in FEATURE_TABLES if name in self.kinds]
        others = [name for name, kind in self.kinds.items() if kind == "utt" and name not in features]
        failed: set[str] = set()
        if self.data.has(FAILED):
            failed = {cut(line)[0] for line in read_text(self.data.file(FAILED)).split("\n")}
        for name in features:
            lacking = self.tables["utt2spk"].keys() - self.tables[name].keys() - self.gone[name] - failed
            lacking = {utt for utt in lacking if all(utt in self.tables[other] for other in others)}
            if lacking:
                raise AsitError(
                    f"{self.data.file(name)}: {len(lacking)} of {len(self.tables['utt2spk'])} utterances have no line, "
                    f"such as '{min(lacking)}'; extract the features again (stage features), or drop these utterances "
                    "with --drop-without-feats true; nothing was changed"
                )

    def intersect(self) -> None:
        """Utterances, recordings and speakers that all their tables have, until nothing changes."""
        tables = self.tables
        changed = True
        while changed:
            changed = False
            if "segments" in tables:
                changed |= self._recordings()
            utt_tables = [n for n, kind in self.kinds.items() if kind == "utt"]
            for other in utt_tables:
                for name in utt_tables:
                    if tables[name].keys() != tables[other].keys():
                        changed |= self.keep(name, lambda key, _, o=other: key in tables[o], f"not in {other}")
        speakers = set(tables["utt2spk"].values())
        for name in (n for n, kind in self.kinds.items() if kind == "spk"):
            self.keep(name, lambda key, _: key in speakers, "no utterance of this speaker is left")

    def _recordings(self) -> bool:
        """Segments of known recordings, recordings that have segments."""
        changed = False
        segments = self.tables["segments"]
        recording = {utt: value.split(None, 1)[0] for utt, value in segments.items()}
        names = [n for n, kind in self.kinds.items() if kind == "reco"]
        for name in names:
            known = self.tables[name]
            changed |= self.keep(
                "segments", lambda utt, _, k=known: recording[utt] in k, f"its recording is not in {name}"
            )
        used = {recording[utt] for utt in segments}
        for name in names:
            changed |= self.keep(name, lambda key, _: key in used, "no segment of this recording is left")
        return changed

    def store(self) -> list[str]:
        """Back up and rewrite the files whose text changes; their names."""
        tables = {name: table for name, table in self.tables.items() if table}
        tables["spk2utt"] = data_dir.inverse(_in_order(self.tables["utt2spk"]))
        changed = [name for name, table in tables.items() if not self._is(name, self._text(name, table))]
        empty = [name for name, table in self.tables.items() if not table]
        if not changed and not empty:
            return []
        if self.data.has(STATS) and self.gone["utt2spk"] - self.tables["utt2spk"].keys():
            empty.append(STATS)  # of the utterances before
        backup = self.data.file(BACKUP)
        os.makedirs(backup, exist_ok=True)
        for name in changed + empty:
            if self.data.has(name):
                shutil.copy2(self.data.file(name), os.path.join(backup, name))
        write_text(os.path.join(backup, REMOVED), "".join(line + "\n" for line in self.removed))
        for name in changed:
            write_text(self.data.file(name), self._text(name, tables[name]))
        for name in empty:  # only speaker or recording tables can end empty: no utterance is lost with them
            why = "is of other utterances" if name == STATS else "has no line left"
            logger.warning("%s: %s; the file is now in %s only", self.data.file(name), why, BACKUP)
            os.unlink(self.data.file(name))
        return changed + empty

    def _text(self, name: str, table: Mapping[str, str]) -> str:
        return format_table(self.data.file(name), table)

    def _is(self, name: str, text: str) -> bool:
        """Whether a file has this text already."""
        if not self.data.has(name):
            return False
        with open(self.data.file(name), "rb") as stream:
            return stream.read() == text.encode("utf-8")


def _lines(text: str) -> Iterator[str]:
    """As ``text.split("\\n")``, a line at a time."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _in_order(table: dict[str, str]) -> dict[str, str]:
    """Sorted by key; the table itself where it is already."""
    return table if all(a < b for a, b in pairwise(table)) else dict(sorted(table.items()))


def counts(removed: tuple[str, ...]) -> Mapping[str, int]:
    """How many lines were dropped for each reason."""
    return Counter(line.split(": ", 1)[-1] for line in removed)
