"""Checking a data directory: every problem with its file and line, not only the first.

The rules are those of Kaldi's ``utils/validate_data_dir.sh`` and ``validate_text.pl``, and ours for labels, missing
files, audio and features.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from asit.config import Options, option
from asit.errors import AsitError
from asit.io import pipes
from asit.kaldi import ark_spec, column_values, data_dir, data_dir_contents, events
from asit.kaldi.column_values import NO_LABEL
from asit.kaldi.data_dir import DataDir
from asit.kaldi.data_dir_findings import Findings, objection

_NO_TRANSCRIPT = "expected a transcript, found none; write what is said, or take the utterance out of utt2spk"
_EXTRACT = "extract the features again (stage features)"


@dataclass(frozen=True)
class Checks(Options):
    """What a data directory must hold. A file that is not required is still checked where it is there."""

    require_wav: bool = option(True, "wav.scp must be there (false is Kaldi's --no-wav)")
    require_feats: bool = option(False, "feats.scp must be there (false is Kaldi's --no-feats)")
    require_text: bool = option(
        False, "text must be there, with a transcript of each utterance (false is Kaldi's --no-text)"
    )
    require_labels: bool = option(False, "utt2label and labels.txt must be there")
    require_events: bool = option(False, "events and labels.txt must be there")
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
    problems = find_problems(path, checks)
    if problems:
        more = f" (and {len(problems) - 1} more; asit-validate-data-dir lists them)" if len(problems) > 1 else ""
        raise AsitError(problems[0] + more)


def find_problems(path: str | os.PathLike[str], checks: Checks | None = None) -> list[str]:
    """All problems of a data directory as ``file:line: what; remedy``; empty when it is right.

    Per file and kind at most 20 are listed, with the count of the rest.
    """
    data, checks = DataDir(os.fspath(path)), checks or Checks()
    if not os.path.isdir(data.path):
        return [f"{data.path}: no such data directory"]
    found, kinds = Findings(data), data.tables()
    _required(found, checks, kinds)
    for name in [*kinds, *(["spk2utt"] if data.has("spk2utt") else [])]:
        found.load(name)
    if "segments" in kinds and "wav.scp" not in kinds:
        found.add([f"{data.path}: there is a file segments but no wav.scp with its recordings"])
    _speakers(found, checks.spk_sort)
    _same_keys(found, kinds)
    _values(found, checks.allow_pipes)
    if checks.require_text:
        found.each("text", lambda _, words: None if words else _NO_TRANSCRIPT)
    _labels(found)
    _frame_shift(found)
    if checks.check_files:
        data_dir_contents.check_files(found)
    if checks.check_audio:
        data_dir_contents.check_audio(found, checks.sample_rate, checks.channel, checks.allow_pipes)
    if checks.check_feats:
        data_dir_contents.check_feats(found, checks.allow_pipes)
    return found.problems


# --- internals -------------------------------------------------------------------------------------


def _required(found: Findings, checks: Checks, kinds: Mapping[str, str]) -> None:
    wanted = [("utt2spk", True, ""), ("spk2utt", True, "asit-fix-data-dir makes it from utt2spk")]
    wanted += [("wav.scp", checks.require_wav, "--require-wav false where this is meant")]
    wanted += [("feats.scp", checks.require_feats, "--require-feats false where this is meant")]
    wanted += [("text", checks.require_text, "--require-text false where this is meant")]
    wanted += [(n, checks.require_labels, "--require-labels false where this is meant") for n in ("utt2label",)]
    wanted += [("labels.txt", checks.require_labels, "--require-labels false where this is meant")]
    wanted += [(events.NAME, checks.require_events, "--require-events false where this is meant")]
    wanted += [("labels.txt", checks.require_events and not checks.require_labels, "it lists the classes of events")]
    for name, required, remedy in wanted:
        if required and name not in kinds and not os.path.isfile(found.data.file(name)):
            found.add([f"{found.data.file(name)}: no such file" + (f"; {remedy}" if remedy else "")])


def _speakers(found: Findings, spk_sort: bool) -> None:
    utt2spk, spk2utt = found.tables.get("utt2spk"), found.tables.get("spk2utt")
    if utt2spk is None:
        return
    if spk_sort:
        problem = data_dir.speaker_order_problem(dict(sorted(utt2spk.items())))
        found.add([f"{found.data.file('utt2spk')}: {problem} or --spk-sort false"] if problem else [])
    if spk2utt is None:
        return
    right = data_dir.inverse(utt2spk)
    path, remedy = found.data.file("spk2utt"), "write it again from utt2spk (asit-fix-data-dir)"
    found.each("spk2utt", lambda spk, _: None if spk in right else f"no such speaker in utt2spk; {remedy}")
    found.each(
        "spk2utt",
        lambda spk, utts: (
            f"its utterances are not those of utt2spk, in its order; {remedy}"
            if spk in right and utts.split() != right[spk].split()
            else None
        ),
    )
    found.add(f"{path}: speaker '{spk}' of utt2spk is missing; {remedy}" for spk in right if spk not in spk2utt)


def _same_keys(found: Findings, kinds: Mapping[str, str]) -> None:
    utts = found.tables.get("utt2spk")
    if utts is None:
        return
    bases: dict[str, tuple[str, dict[str, str] | dict[str, None]]] = {"utt": ("utt2spk", utts)}
    bases["spk"] = ("utt2spk", dict.fromkeys(utts.values()))
    if "segments" in found.tables:
        recordings = data_dir.recordings_of(v for v in found.tables["segments"].values() if v)
        bases["reco"] = ("segments", dict.fromkeys(recordings))
    for name, kind in kinds.items():
        if name == "utt2spk" or kind not in bases or name not in found.tables:
            continue
        base, keys = bases[kind]
        what = {"utt": "utterance", "spk": "speaker", "reco": "recording"}[kind]
        here = found.tables[name]
        if here.keys() == keys.keys():
            continue
        features = name in data_dir.FEATURE_TABLES
        remedy = _EXTRACT if features else f"add it to {base} or remove this line"
        found.each(
            name,
            lambda key, _, k=keys, b=base, w=what, r=remedy: None if key in k else f"no such {w} in {b}; {r}",
        )
        path, remedy = found.data.file(name), _EXTRACT if features else f"add its line, or remove it from {base}"
        found.add(f"{path}: {what} '{key}' of {base} is missing; {remedy}" for key in keys if key not in here)


def _values(found: Findings, allow_pipes: bool) -> None:
    for name, convert in (
        ("utt2spk", column_values.check_speaker),
        ("segments", column_values.parse_segment),
        ("utt2dur", column_values.parse_duration),
        ("reco2dur", column_values.parse_duration),
        ("utt2num_frames", column_values.parse_frames),
        ("utt2label", column_values.parse_labels),
        ("spk2gender", column_values.check_gender),
        ("spk2warp", column_values.check_warp),
        ("utt2warp", column_values.check_warp),
        ("text", column_values.check_text),
        ("feats.scp", ark_spec.parse),
    ):
        said = {value: objection(convert, value) for value in set(found.tables.get(name, {}).values())}
        found.each(name, lambda _, value, said=said: said[value])
    if not allow_pipes:
        for name in ("wav.scp", "feats.scp"):
            found.each(name, lambda _, v: "a command, not a file; --allow-pipes true" if pipes.is_pipe(v) else None)
    tilde = "'~' is not expanded when the file is opened; write the whole path"
    found.each("wav.scp", lambda _, value: tilde if value.startswith("~") else None)


def _labels(found: Findings) -> None:
    path, known = found.data.file("labels.txt"), dict[str, int]()
    if os.path.isfile(path):
        try:
            known = data_dir.read_labels(path)
        except AsitError as error:
            found.add([str(error)])
    if known:
        found.each("utt2label", lambda _, value: _unknown_labels(value, known))
    if events.NAME in found.tables:
        durations = found.tables.get("utt2dur", {})
        right = {utt: float(d) for utt, d in durations.items() if not objection(column_values.parse_duration, d)}
        found.add(events.problems(found.data.file(events.NAME), known, right))


def _frame_shift(found: Findings) -> None:
    if found.data.has("frame_shift"):
        try:
            _ = found.data.frame_shift
        except AsitError as error:
            found.add([str(error)])


def _unknown_labels(value: str, known: Mapping[str, int]) -> str | None:
    unknown = [label for label in value.split(",") if label not in known and value != NO_LABEL]
    return f"label '{unknown[0]}' is not in labels.txt; add it there or correct it" if unknown else None
