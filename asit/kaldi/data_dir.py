"""A Kaldi data directory: which tables it has, how they are indexed, and reading and writing them.

The first word of a table's name tells what it is indexed by: ``utt2spk`` by utterance, ``spk2utt`` by speaker,
``reco2dur`` by recording. ``wav.scp`` is indexed by recording where there are ``segments``, else by utterance.
Ours beside Kaldi's: ``utt2label`` (one or more labels, comma separated), ``labels.txt`` (label, index) and ``events``
(:mod:`asit.kaldi.events`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from asit.errors import AsitError, excerpt
from asit.io.atomic import sweep, write_text
from asit.kaldi import data_dir_stale
from asit.kaldi.column_values import (
    Segment,
    label_problem,
    parse_count,
    parse_duration,
    parse_frames,
    parse_labels,
    parse_segment,
)
from asit.kaldi.table import Columns, read_columns, read_table, read_text, write_table

UTTERANCE_TABLES = ("events", "feats.scp", "segments", "text", "vad.scp")  # and every utt2*
FEATURE_TABLES = ("feats.scp", "utt2num_frames", "utt2dur", "utt2crc", "vad.scp")  # made from the audio, by commands
SPEAKER_TABLES = ("cmvn.scp",)  # and every spk2* but spk2utt
WHOLE_FILES = ("frame_shift", "labels.txt", "conf")  # the same for every part of a directory
_NAME = re.compile(r"(utt|spk|reco)2[A-Za-z0-9_]+\Z")


@dataclass(frozen=True)
class DataDir:
    """A data directory; each table is read when it is first asked for.

    Raises:
        AsitError: from any attribute: the table is missing or malformed (file and line).
    """

    path: str

    def file(self, name: str) -> str:
        """The path of a file in the directory."""
        return os.path.join(self.path, name)

    def has(self, name: str) -> bool:
        """Whether the directory has a file or folder of this name."""
        return os.path.exists(self.file(name))

    def table(self, name: str) -> dict[str, str]:
        """Any table by its name, not kept in memory."""
        if not os.path.isdir(self.path):
            raise AsitError(f"{self.path}: no such data directory")
        return read_table(self.file(name), empty_values=name == "text")

    def columns(self, name: str, check: Callable[[str], object]) -> Columns:
        """A table in two buffers, for millions of lines; `check` sees every value and raises ValueError."""
        columns = read_columns(self.file(name))
        try:
            for value in set(columns.values):
                check(value)
        except ValueError:
            raise _first_problem(self.file(name), zip(*columns, strict=True), check) from None
        return columns

    @cached_property
    def wav_scp(self) -> dict[str, str]:
        """Utterance (recording, where there are segments) -> audio file."""
        return self.table("wav.scp")

    @cached_property
    def segments(self) -> dict[str, Segment]:
        """Utterance -> recording and times."""
        return _converted(self, "segments", parse_segment)

    @cached_property
    def utt2spk(self) -> dict[str, str]:
        """Utterance -> speaker."""
        return self.table("utt2spk")

    @cached_property
    def spk2utt(self) -> dict[str, list[str]]:
        """Speaker -> utterances, as the file has them."""
        return {speaker: utts.split() for speaker, utts in self.table("spk2utt").items()}

    @cached_property
    def text(self) -> dict[str, str]:
        """Utterance -> transcript, possibly empty."""
        return self.table("text")

    @cached_property
    def utt2dur(self) -> dict[str, float]:
        """Utterance -> seconds."""
        return _converted(self, "utt2dur", parse_duration)

    @cached_property
    def utt2num_frames(self) -> dict[str, int]:
        """Utterance -> number of feature frames."""
        return _converted(self, "utt2num_frames", parse_frames)

    @cached_property
    def feats(self) -> dict[str, str]:
        """Utterance -> place of its features, for ``asit.kaldi.ark.read_matrix``."""
        return self.table("feats.scp")

    @cached_property
    def utt2label(self) -> dict[str, tuple[str, ...]]:
        """Utterance -> its labels, in the file's order."""
        return _converted(self, "utt2label", parse_labels)

    @cached_property
    def labels(self) -> dict[str, int]:
        """Label -> index, ordered by index."""
        return read_labels(self.file("labels.txt"))

    @cached_property
    def frame_shift(self) -> float:
        """Seconds between frames."""
        path = self.file("frame_shift")
        text = read_text(path).strip()
        return positive(text, f"{path}:1")

    @cached_property
    def utts(self) -> list[str]:
        """Utterance ids in C-locale order."""
        return list(self.utt2spk)

    def tables(self) -> dict[str, str]:
        """Name -> "utt", "spk" or "reco" of every table there is, without spk2utt."""
        try:
            names = sorted(os.listdir(self.path))
        except OSError as error:
            raise AsitError(f"{self.path}: cannot read the data directory: {error.strerror}") from None
        kinds = {n: index_of(n, "segments" in names) for n in names if not os.path.isdir(self.file(n))}
        return {n: kind for n, kind in kinds.items() if kind}


def index_of(name: str, segmented: bool) -> str | None:
    """What a file of a data directory is indexed by: "utt", "spk", "reco", or None if it is no such table.

    >>> index_of("wav.scp", segmented=True), index_of("utt2label", True), index_of("spk2utt", True)
    ('reco', 'utt', None)
    """
    if name in UTTERANCE_TABLES or (name == "wav.scp" and not segmented):
        return "utt"
    if name in ("wav.scp", "reco2file_and_channel"):
        return "reco" if segmented else "utt"
    if name in SPEAKER_TABLES:
        return "spk"
    match = _NAME.match(name)
    if not match or name == "spk2utt":
        return None
    return "utt" if match[1] == "reco" and not segmented else match[1]


def write_data_dir(path: str | os.PathLike[str], tables: Mapping[str, Mapping[str, str]]) -> DataDir:
    """Write tables by file name (``{"wav.scp": {...}, "utt2spk": {...}}``), and ``spk2utt`` from ``utt2spk``.

    What an older directory of this name has beside them stays only if it fits: where utterances or recordings have
    changed, feats.scp and the like are put aside into ``.backup``, with a warning (:mod:`asit.kaldi.data_dir_stale`).

    Raises:
        AsitError: no utt2spk, an utterance table whose keys differ from utt2spk's, speakers out of order, or
            what :func:`asit.kaldi.table.write_table` refuses. Nothing is written then.
    """
    path = os.fspath(path)
    utt2spk = dict(sorted(tables.get("utt2spk", {}).items()))
    if not utt2spk:
        raise AsitError(f"{path}: expected a table utt2spk with at least one utterance, found none")
    problem = speaker_order_problem(utt2spk)
    if problem:
        raise AsitError(f"{path}: {problem}")
    for name, table in tables.items():
        if index_of(name, "segments" in tables) == "utt" and table.keys() != utt2spk.keys():
            odd = min(table.keys() ^ utt2spk.keys())
            where = f"{name} but not in utt2spk" if odd in table else f"utt2spk but not in {name}"
            raise AsitError(f"{path}: '{odd}' is in {where}; give every utterance one line in each")
    if os.path.isdir(path):
        sweep(path)
        data_dir_stale.put_aside(path, data_dir_stale.stale(path, DataDir(path).tables(), tables))
    for name, table in tables.items():
        write_table(os.path.join(path, name), table)
    write_table(os.path.join(path, "spk2utt"), inverse(utt2spk))
    return DataDir(path)


def inverse(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """``spk2utt`` of an ``utt2spk``: speakers and their utterances in the order of the utterances.

    >>> inverse({"a-1": "a", "a-2": "a", "b-1": "b"})
    {'a': 'a-1 a-2', 'b': 'b-1'}
    """
    found: dict[str, list[str]] = {}
    for utt, speaker in utt2spk.items():
        found.setdefault(speaker, []).append(utt)
    return {speaker: " ".join(utts) for speaker, utts in found.items()}


def speaker_order_problem(utt2spk: Mapping[str, str]) -> str | None:
    """Kaldi wants a sorted utt2spk to be sorted by speaker too; what breaks that, or None.

    >>> speaker_order_problem({"1-a": "a", "1-b": "b", "2-a": "a"})
    "speakers are not in order: '2-a' of speaker 'a' comes after '1-b' of speaker 'b'; make the speaker id the \
beginning of each utterance id (asit-copy-data-dir --prefix-speaker true)"
    >>> speaker_order_problem({"ann-lee-1": "ann-lee", "ann-x": "ann"}).partition("; ")[2]
    "'ann' is the beginning of 'ann-lee': write '_' for '-' in speaker ids, in utt2spk and before utterance ids"
    """
    speakers = list(utt2spk.values())
    if not any(map(str.__gt__, speakers, speakers[1:])):
        return None
    utts = list(utt2spk)
    i = next(i for i in range(1, len(utts)) if speakers[i - 1] > speakers[i])
    remedy = "make the speaker id the beginning of each utterance id (asit-copy-data-dir --prefix-speaker true)"
    if speakers[i - 1].startswith(speakers[i]) and all(utts[j].startswith(speakers[j]) for j in (i - 1, i)):
        remedy = (
            f"'{speakers[i]}' is the beginning of '{speakers[i - 1]}': write '_' for '-' in speaker ids, in utt2spk "
            "and before utterance ids"
        )
    return (
        f"speakers are not in order: '{utts[i]}' of speaker '{speakers[i]}' comes after '{utts[i - 1]}' of speaker "
        f"'{speakers[i - 1]}'; {remedy}"
    )


def read_labels(path: str) -> dict[str, int]:
    """``labels.txt``: one ``label index`` per line, indices 0 … K-1 each once, in any order.

    Raises:
        AsitError: the first problem with its line.
    """
    found: dict[str, int] = {}
    used: dict[int, str] = {}
    lines = read_text(path).splitlines()
    for number, line in enumerate(lines, 1):
        words = line.split()
        where = f"{path}:{number}"
        try:
            label, index = words[0], parse_count(words[1])
            if len(words) > 2:
                raise ValueError
        except (ValueError, IndexError):
            raise AsitError(
                f"{where}: expected 'label index', found {excerpt(line)!r}; labels hold no white space"
            ) from None
        problem = label_problem(label)
        if problem:
            raise AsitError(f"{where}: {problem}")
        if label in found or index in used:
            raise AsitError(f"{where}: label '{excerpt(label)}' or index {index} is there already; each may occur once")
        if index >= len(lines):
            raise AsitError(f"{where}: index {index}: expected 0 to {len(lines) - 1} for {len(lines)} labels")
        found[label] = index
        used[index] = label
    if not found:
        raise AsitError(f"{path}: expected at least one 'label index' line, found an empty file")
    return dict(sorted(found.items(), key=lambda item: item[1]))


def write_labels(path: str | os.PathLike[str], labels: Sequence[str]) -> None:
    """Write ``labels.txt``; a label's index is its place in `labels`.

    Raises:
        AsitError: a label that is repeated, empty, or holds white space or a comma.
    """
    for i, label in enumerate(labels):
        problem = label_problem(label) or ("it is there already" if label in labels[:i] else None)
        if problem:
            raise AsitError(f"{os.fspath(path)}: label '{excerpt(label)}': {problem}")
    write_text(path, "".join(f"{label} {i}\n" for i, label in enumerate(labels)))


def positive(text: str, where: str) -> float:
    """A positive number.

    Raises:
        AsitError: naming `where`.
    """
    try:
        return parse_duration(text)
    except ValueError:
        raise AsitError(f"{where}: expected one positive number, found '{excerpt(text)}'") from None


def read_list(path: str) -> list[str]:
    """The first words of a list or table of ids, in any order (what ``--utt-list`` takes).

    Raises:
        AsitError: missing or empty file.
    """
    ids = [line.split()[0] for line in read_text(path).splitlines() if line.strip()]
    if not ids:
        raise AsitError(f"{path}: expected at least one id, found none")
    return list(dict.fromkeys(ids))


def recordings_of(segments: Iterable[str]) -> list[str]:
    """Recording ids of the lines (values) of a segments table, sorted, each once."""
    return sorted({value.partition(" ")[0].partition("\t")[0] for value in segments})


def _converted(data: DataDir, name: str, convert):  # noqa: ANN001, ANN202 - a table of what `convert` returns
    table = data.table(name)
    try:
        return {key: convert(value) for key, value in table.items()}
    except ValueError:
        raise _first_problem(data.file(name), table.items(), convert) from None


def _first_problem(path: str, lines: Iterable[tuple[str, str]], check: Callable[[str], object]) -> AsitError:
    for number, (key, value) in enumerate(lines, 1):
        try:
            check(value)
        except ValueError as error:
            return AsitError(f"{path}:{number}: '{excerpt(key)}': {error}")
    raise AssertionError(f"{path}: no value that the check refuses")
