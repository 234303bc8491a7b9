"""Checking what the tables of a data directory name: files, the audio in them, matrices of features."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from tqdm import tqdm

from asit.errors import AsitError
from asit.io import pipes
from asit.io.audio import MAX_OVERSHOOT, range_problem, read_audio
from asit.kaldi import ark_spec, column_values
from asit.kaldi.ark import read_matrix
from asit.kaldi.data_dir_findings import Findings, objection


def check_files(found: Findings) -> None:
    """The files that wav.scp and feats.scp name are there."""

    def missing(name: str) -> str | None:
        if pipes.is_pipe(name) or os.path.isfile(name):
            return None
        what = "is no file" if os.path.exists(name) else "does not exist"
        return f"'{name}' {what} (relative paths count from {os.getcwd()}); correct the path"

    found.each("wav.scp", lambda _, value: missing(value))
    places = {value: _path_of(value) for value in found.tables.get("feats.scp", {}).values()}
    gone = {path: said for path in set(places.values()) if path and (said := missing(path))}
    found.each("feats.scp", lambda _, value: gone.get(places[value] or ""))


def check_audio(found: Findings, rate: int | None, channel: int | None, allow_pipes: bool) -> None:
    """Every recording can be decoded, has the rate (by default that of the first) and the length that tables say."""
    lengths: dict[str, float] = {}
    bad: dict[str, str] = {}
    for key, path in tqdm(found.tables.get("wav.scp", {}).items(), "audio", disable=None):
        try:
            samples, has = read_audio(path, None, channel=channel, allow_pipes=allow_pipes)
        except AsitError as error:
            bad[key] = str(error)
            continue
        lengths[key] = len(samples) / has
        problem = range_problem(samples)
        if problem:
            bad[key] = f"{path}: {problem}"
        rate = rate or has
        if has != rate:
            bad[key] = f"{path}: expected {rate} Hz, found {has} Hz; resample it"
    found.each("wav.scp", lambda key, _: bad.get(key))
    found.each("segments", lambda _, value: _overshoot(value, lengths))
    if "segments" not in found.tables:
        found.each("utt2dur", lambda key, value: _other_duration(value, lengths.get(key)))


def check_feats(found: Findings, allow_pipes: bool) -> None:
    """Every matrix can be read and is finite, with one number of columns, and of frames what utt2num_frames says."""
    frames = found.tables.get("utt2num_frames", {})
    columns = 0
    bad: dict[str, str] = {}
    for key, spec in tqdm(found.tables.get("feats.scp", {}).items(), "features", disable=None):
        try:
            matrix = read_matrix(spec, allow_pipes)
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
            bad[key] = f"utt2num_frames says {frames[key]} frames, found {matrix.shape[0]}; make utt2num_frames anew"
    found.each("feats.scp", lambda key, _: bad.get(key))


# --- internals -------------------------------------------------------------------------------------


def _path_of(spec: str) -> str | None:
    if pipes.is_pipe(spec):
        return None
    try:
        return ark_spec.parse(spec).path
    except AsitError:
        return None


def _overshoot(value: str, lengths: Mapping[str, float]) -> str | None:
    try:
        segment = column_values.parse_segment(value)
    except ValueError:
        return None  # reported already
    length = lengths.get(segment.recording)
    if length is None or (segment.start < length and segment.end <= length + MAX_OVERSHOOT):
        return None
    return f"ends at {segment.end:g} s, its recording at {length:.3f} s; correct the times"


def _other_duration(value: str, length: float | None) -> str | None:
    if length is None or objection(column_values.parse_duration, value) or abs(float(value) - length) <= 0.02:
        return None
    return f"says {value} s, the recording has {length:.3f} s; make utt2dur anew"
