"""Checking a data directory: every problem with its file and line, not only the first.

The rules are those of Kaldi's ``utils/validate_data_dir.sh`` and ``validate_text.pl``, and ours for labels, missing
files, audio and features.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from asit.config import option
from asit.errors import AsitError
from asit.io import ark_spec, data_dir, pipes, table, values
from asit.io.ark import read_matrix
from asit.io.audio import MAX_OVERSHOOT, read_audio
from asit.io.data_dir import DataDir

_INTERSECT = "asit-fix-data-dir keeps what is in all tables"
PER_FILE = 20  # problems of one kind in one file are listed up to here, then counted


@dataclass(frozen=True)
class Checks:
    """What a data directory must hold. A file that is not required is still checked where it is there."""

    require_wav: bool = option(True, "wav.scp must be there (false is Kaldi's --no-wav)")
    require_feats: bool = option(False, "feats.scp must be there (false is Kaldi's --no-feats)")
    require_text: bool = option(False, "text must be there (false is Kaldi's --no-text)")
    require_labels: bool = option(False, "utt2label and labels.txt must be there")
    spk_sort: bool = option(True, "utt2spk must be sorted by speaker too (false is Kaldi's --no-spk-sort)")
    check_files: bool = option(True, "the files that wav.scp and feats.scp name must exist")
    check_audio: bool = option(False, "decode every recording: empty, truncated, stereo, NaN, one rate for all")
    check_feats: bool = option(False, "read every feature matrix: corrupt, NaN, number of frames and of columns")
    sample_rate: int | None = option(None, "rate in Hz that check_audio expects; none takes the first recording's")
    channel: int | None = option(None, "channel that check_audio reads of recordings with several, counted from 0")
    allow_pipes: bool = option(False, "accept commands in wav.scp and feats.scp (and run them when checking deeply)")


def validate(path: str | os.PathLike[str], checks: Checks | None = None) -> None:
    """Refuse a data directory with problems.

    Raises:
        AsitError: the first problem and how many there are.
    """
    found = find_problems(path, checks)
    if found:
        more = f" (and {len(found) - 1} more; asit-validate-data-dir lists them)" if len(found) > 1 else ""
        raise AsitError(found[0] + more)


def find_problems(path: str | os.PathLike[str], checks: Checks | None = None) -> list[str]:
    """All problems of a data directory as ``file:line: what; remedy``; empty when it is right.

    Per file and kind at most 20 are listed, with the count of the rest.
    """
    return _Inspection(DataDir(os.fspath(path)), checks or Checks()).run()


@dataclass
class _Inspection:
    data: DataDir
    checks: Checks
    problems: list[str] = field(default_factory=list)
    tables: dict[str, dict[str, str]] = field(default_factory=dict)

    def run(self) -> list[str]:
        path = self.data.path
        if not os.path.isdir(path):
            return [f"{path}: no such data directory"]
        kinds = self.data.tables()
        self._required(kinds)
        for name in [*kinds, *(["spk2utt"] if self.data.has("spk2utt") else [])]:
            self._load(name)
        if "segments" in kinds and "wav.scp" not in kinds:
            self._add([f"{path}: there is a file segments but no wav.scp with its recordings"])
        self._speakers()
        self._same_keys(kinds)
        self._values()
        self._labels()
        self._frame_shift()
        if self.checks.check_files:
            self._files()
        if self.checks.check_audio:
            self._audio()
        if self.checks.check_feats:
            self._feats()
        return self.problems

    def _add(self, messages: Iterable[str]) -> None:
        """Note up to PER_FILE messages and count the others."""
        messages = iter(messages)
        shown = list(itertools.islice(messages, PER_FILE))
        self.problems += shown
        rest = sum(1 for _ in messages)
        if rest:
            where = shown[0].split(":", 1)[0]
            self.problems.append(f"{where}: {rest} more like the last")

    def _required(self, kinds: Mapping[str, str]) -> None:
        checks = self.checks
        wanted = [("utt2spk", True, ""), ("spk2utt", True, "asit-fix-data-dir makes it from utt2spk")]
        wanted += [("wav.scp", checks.require_wav, "--require-wav false where this is meant")]
        wanted += [("feats.scp", checks.require_feats, "--require-feats false where this is meant")]
        wanted += [("text", checks.require_text, "--require-text false where this is meant")]
        wanted += [(n, checks.require_labels, "--require-labels false where this is meant") for n in ("utt2label",)]
        wanted += [("labels.txt", checks.require_labels, "--require-labels false where this is meant")]
        for name, required, remedy in wanted:
            if required and name not in kinds and not os.path.isfile(self.data.file(name)):
                self._add([f"{self.data.file(name)}: no such file" + (f"; {remedy}" if remedy else "")])

    def _load(self, name: str) -> None:
        path = self.data.file(name)
        try:
            self.tables[name] = table.read_table(path, empty_values=name == "text")
            return
        except AsitError as error:
            first = str(error)
        try:
            text = table.read_text(path)
        except AsitError:
            self._add([first])  # not UTF-8 or unreadable: nothing more can be said
            return
        self._add(table.problems(path, text, empty_values=name == "text"))
        self.tables[name] = table.lenient(text)

    def _line(self, name: str, keys: Iterable[str]) -> dict[str, int]:
        """Line of each key in a file that may be malformed."""
        wanted = set(keys)
        lines = table.read_text(self.data.file(name)).replace("\r", "").split("\n")
        found: dict[str, int] = {}
        for number, line in enumerate(lines, 1):
            key = table.cut(line)[0]
            if key in wanted:
                found.setdefault(key, number)
        return found

    def _each(self, name: str, wrong: Callable[[str, str], str | None]) -> None:
        """Apply `wrong` to every line (key, value) of a table; its answer is a problem of that line."""
        bad = {key: said for key, value in self.tables.get(name, {}).items() if (said := wrong(key, value))}
        if bad:
            lines = self._line(name, bad)
            self._add(f"{self.data.file(name)}:{lines[key]}: '{key}': {said}" for key, said in bad.items())

    def _speakers(self) -> None:
        utt2spk, spk2utt = self.tables.get("utt2spk"), self.tables.get("spk2utt")
        if utt2spk is None:
            return
        if self.checks.spk_sort:
            problem = data_dir.speaker_order_problem(dict(sorted(utt2spk.items())))
            self._add([f"{self.data.file('utt2spk')}: {problem} or --spk-sort false"] if problem else [])
        if spk2utt is None:
            return
        right = data_dir.inverse(utt2spk)
        path, remedy = self.data.file("spk2utt"), "make it anew from utt2spk (asit-fix-data-dir)"
        self._each("spk2utt", lambda spk, _: None if spk in right else f"no such speaker in utt2spk; {remedy}")
        self._each(
            "spk2utt",
            lambda spk, utts: (
                f"its utterances are not those of utt2spk, in its order; {remedy}"
                if spk in right and utts.split() != right[spk].split()
                else None
            ),
        )
        self._add(f"{path}: speaker '{spk}' of utt2spk is missing; {remedy}" for spk in right if spk not in spk2utt)

    def _same_keys(self, kinds: Mapping[str, str]) -> None:
        utts = self.tables.get("utt2spk")
        if utts is None:
            return
        bases: dict[str, tuple[str, dict[str, str] | dict[str, None]]] = {"utt": ("utt2spk", utts)}
        bases["spk"] = ("utt2spk", dict.fromkeys(utts.values()))
        if "segments" in self.tables:
            recordings = data_dir.recordings_of(v for v in self.tables["segments"].values() if v)
            bases["reco"] = ("segments", dict.fromkeys(recordings))
        for name, kind in kinds.items():
            if name == "utt2spk" or kind not in bases or name not in self.tables:
                continue
            base, keys = bases[kind]
            what = {"utt": "utterance", "spk": "speaker", "reco": "recording"}[kind]
            here = self.tables[name]
            if here.keys() == keys.keys():
                continue
            self._each(
                name, lambda key, _, k=keys, b=base, w=what: None if key in k else f"no such {w} in {b}; {_INTERSECT}"
            )
            path = self.data.file(name)
            self._add(f"{path}: {what} '{key}' of {base} is missing; {_INTERSECT}" for key in keys if key not in here)

    def _values(self) -> None:
        for name, convert in (
            ("utt2spk", values.check_speaker),
            ("segments", values.parse_segment),
            ("utt2dur", values.parse_duration),
            ("reco2dur", values.parse_duration),
            ("utt2num_frames", values.parse_frames),
            ("utt2label", values.parse_labels),
            ("spk2gender", values.check_gender),
            ("spk2warp", values.check_warp),
            ("utt2warp", values.check_warp),
            ("text", values.check_text),
            ("feats.scp", ark_spec.parse),
        ):
            said = {value: _said(convert, value) for value in set(self.tables.get(name, {}).values())}
            self._each(name, lambda _, value, said=said: said[value])
        if not self.checks.allow_pipes:
            for name in ("wav.scp", "feats.scp"):
                self._each(name, lambda _, v: "a command, not a file; --allow-pipes true" if pipes.is_pipe(v) else None)
        tilde = "'~' is not expanded when the file is opened; write the whole path"
        self._each("wav.scp", lambda _, value: tilde if value.startswith("~") else None)

    def _labels(self) -> None:
        path = self.data.file("labels.txt")
        if not os.path.isfile(path):
            return
        try:
            known = data_dir.read_labels(path)
        except AsitError as error:
            self._add([str(error)])
            return
        self._each("utt2label", lambda _, value: _unknown_labels(value, known))

    def _frame_shift(self) -> None:
        if self.data.has("frame_shift"):
            try:
                _ = self.data.frame_shift
            except AsitError as error:
                self._add([str(error)])

    def _files(self) -> None:
        def missing(name: str) -> str | None:
            if pipes.is_pipe(name) or os.path.isfile(name):
                return None
            what = "is no file" if os.path.exists(name) else "does not exist"
            return f"'{name}' {what} (relative paths count from {os.getcwd()}); correct the path"

        self._each("wav.scp", lambda _, value: missing(value))
        places = {value: _path_of(value) for value in self.tables.get("feats.scp", {}).values()}
        gone = {path: said for path in set(places.values()) if path and (said := missing(path))}
        self._each("feats.scp", lambda _, value: gone.get(places[value] or ""))

    def _audio(self) -> None:
        rate = self.checks.sample_rate
        lengths: dict[str, float] = {}
        bad: dict[str, str] = {}
        for key, path in tqdm(self.tables.get("wav.scp", {}).items(), "audio", disable=None):
            try:
                samples, found = read_audio(
                    path, None, channel=self.checks.channel, allow_pipes=self.checks.allow_pipes
                )
            except AsitError as error:
                bad[key] = str(error)
                continue
            lengths[key] = len(samples) / found
            rate = rate or found
            if found != rate:
                bad[key] = f"{path}: expected {rate} Hz, found {found} Hz; resample it"
        self._each("wav.scp", lambda key, _: bad.get(key))
        self._each("segments", lambda _, value: _overshoot(value, lengths))
        if "segments" not in self.tables:
            self._each("utt2dur", lambda key, value: _other_duration(value, lengths.get(key)))

    def _feats(self) -> None:
        frames = self.tables.get("utt2num_frames", {})
        columns = 0
        bad: dict[str, str] = {}
        for key, spec in tqdm(self.tables.get("feats.scp", {}).items(), "features", disable=None):
            try:
                matrix = read_matrix(spec, self.checks.allow_pipes)
            except AsitError as error:
                bad[key] = str(error)
                continue
            columns = columns or matrix.shape[1]
            wrong = matrix.size - int(np.isfinite(matrix).sum())
            if wrong:
                bad[key] = f"{wrong} of {matrix.size} values are NaN or infinite; extract the features anew"
            elif matrix.shape[1] != columns:
                bad[key] = f"expected {columns} columns as in the first matrix, found {matrix.shape[1]}"
            elif key in frames and frames[key] != str(matrix.shape[0]):
                bad[key] = (
                    f"utt2num_frames says {frames[key]} frames, found {matrix.shape[0]}; make utt2num_frames anew"
                )
        self._each("feats.scp", lambda key, _: bad.get(key))


def _said(convert: Callable[[str], object], value: str) -> str | None:
    """What `convert` has against a value, or None."""
    try:
        convert(value)
    except (ValueError, AsitError) as error:
        return str(error)
    return None


def _path_of(spec: str) -> str | None:
    if pipes.is_pipe(spec):
        return None
    try:
        return ark_spec.parse(spec).path
    except AsitError:
        return None


def _unknown_labels(value: str, known: Mapping[str, int]) -> str | None:
    unknown = [label for label in value.split(",") if label not in known]
    return f"label '{unknown[0]}' is not in labels.txt; add it there or correct it" if unknown else None


def _overshoot(value: str, lengths: Mapping[str, float]) -> str | None:
    try:
        segment = values.parse_segment(value)
    except ValueError:
        return None  # reported already
    length = lengths.get(segment.recording)
    if length is None or (segment.start < length and segment.end <= length + MAX_OVERSHOOT):
        return None
    return f"ends at {segment.end:g} s, its recording at {length:.3f} s; correct the times"


def _other_duration(value: str, length: float | None) -> str | None:
    if length is None or _said(values.parse_duration, value) or abs(float(value) - length) <= 0.02:
        return None
    return f"says {value} s, the recording has {length:.3f} s; make utt2dur anew"
