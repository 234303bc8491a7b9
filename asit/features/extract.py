"""Features of a data directory, or of one part of it, into one archive (after Kaldi's steps/make_fbank.sh).

A part is written by one process and holds what that process needs to say about it:

    <out-dir>/<name>.ark .scp                features
    <out-dir>/<name>.utt2num_frames .utt2dur  of the utterances in the archive
    <out-dir>/<name>.utt2crc                  CRC-32 of their features: whether a data set has changed is told by it
    <out-dir>/<name>.failed_utts             utterance and reason, one a line; empty when all succeeded
    <out-dir>/<name>.loud_utts               utterance and reason: samples far outside [-1, 1]
    <out-dir>/<name>.fbank.yaml              the settings; written last: a part without it is not finished

Features depend on the audio, the settings and the utterance id only, so any number of parts gives the same bytes.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import yaml
from tqdm import tqdm

from asit.config import REQUIRED, Options, group, option, to_dict
from asit.errors import AsitError
from asit.features.fbank import Fbank, FbankSettings, empty_filters
from asit.features.torchaudio_fbank import TorchaudioFbank
from asit.io import pipes
from asit.io.atomic import remove, sweep, write_text
from asit.io.audio import range_problem, read_audio
from asit.io.channels import channel_of
from asit.kaldi.ark import ArkWriter
from asit.kaldi.data_dir import DataDir

SIDE_FILES = ("utt2num_frames", "utt2dur", "utt2crc", "failed_utts", "loud_utts", "fbank.yaml")
BACKENDS = {"asit": Fbank, "torchaudio": TorchaudioFbank}
NAMED_FAILURES = 5  # failures that a message names; the list has all


@dataclass(frozen=True)
class ExtractSettings(Options):
    """Compute log-mel features of a Kaldi data directory, or of one part of it, in one process."""

    data_dir: str = option(REQUIRED, "data directory with wav.scp (and segments), such as data/train/split8/3")
    out_dir: str = option(REQUIRED, "folder of the archives, such as fbank")
    name: str = option(REQUIRED, "name of the archive without .ark, such as raw_fbank_train.3")
    compression: int = option(
        0, "Kaldi's compression method; 0: float32, 3: two bytes a value, 5 or 2: one", tuple(range(8))
    )
    resample: bool = option(False, "convert audio of another rate to sample_rate instead of refusing it")
    partial: bool = option(False, "leave the judgement of failures to asit-collect-feats, which sees all parts")
    backend: str = option("asit", "what computes the features; they are equal to rounding", tuple(BACKENDS))
    allow_pipes: bool = option(False, "run the commands in wav.scp, as Kaldi does; only for lists that you trust")
    fbank: FbankSettings = group(FbankSettings)


class Clip(NamedTuple):
    """Where the audio of one utterance is; seconds, `end` None for the whole file."""

    utt: str
    path: str
    start: float = 0.0
    end: float | None = None


def utterances(data: DataDir) -> list[str]:
    """The utterances that the directory has audio for, in C-locale order."""
    return list(data.segments if data.has("segments") else data.wav_scp)


def clips(data: DataDir) -> Iterator[Clip | AsitError]:
    """The audio of each of :func:`utterances`, or why it cannot be found."""
    if not data.has("segments"):
        yield from (Clip(utt, path) for utt, path in data.wav_scp.items())
        return
    for utt, segment in data.segments.items():
        path = data.wav_scp.get(segment.recording)
        if path is None:
            yield AsitError(
                f"utterance '{utt}': its recording '{segment.recording}' is not in {data.file('wav.scp')}; add it"
            )
        else:
            yield Clip(utt, path, segment.start, segment.end)


def extract(settings: ExtractSettings) -> tuple[int, int]:
    """Write one part; how many utterances succeeded, and how many there are.

    An utterance that cannot be read is listed with the reason and left out.

    Raises:
        AsitError: a malformed data directory, an archive that cannot be written, and unless ``partial`` too many
            failures (see :func:`judge`). The archive is then not there.
    """
    data, fbank = DataDir(settings.data_dir), BACKENDS[settings.backend](settings.fbank)
    stem = os.path.join(settings.out_dir, settings.name)
    for suffix in (*SIDE_FILES, "ark", "scp"):
        sweep(f"{stem}.{suffix}")
    for suffix in SIDE_FILES:
        remove(f"{stem}.{suffix}")
    names = utterances(data)
    frames: dict[str, int] = {}
    seconds: dict[str, str] = {}
    checksums: dict[str, str] = {}
    failed: dict[str, str] = {}
    loud: dict[str, str] = {}
    with ArkWriter(f"{stem}.ark", f"{stem}.scp", settings.compression) as writer:
        for utt, clip in tqdm(
            zip(names, clips(data), strict=True), total=len(names), unit="clip", disable=not sys.stderr.isatty()
        ):
            try:
                feats, duration, problem = _features(clip, fbank, settings)
            except AsitError as error:
                failed[utt] = str(error)
                print(f"warning: {error}", file=sys.stderr)
                continue
            writer.write(utt, feats)
            checksums[utt] = f"{zlib.crc32(np.ascontiguousarray(feats), settings.compression):08x}"
            if problem:
                loud[utt] = problem
            frames[utt], seconds[utt] = len(feats), f"{duration:.6f}".rstrip("0").rstrip(".")
        write_lines(f"{stem}.failed_utts", failed)
        if not settings.partial:
            judge(settings.data_dir, len(frames), failed, f"{stem}.failed_utts")
            remark(settings.data_dir, len(frames), loud, settings.fbank)
    write_lines(f"{stem}.loud_utts", loud)
    write_lines(f"{stem}.utt2num_frames", {utt: str(count) for utt, count in frames.items()})
    write_lines(f"{stem}.utt2dur", seconds)
    write_lines(f"{stem}.utt2crc", checksums)
    write_text(f"{stem}.fbank.yaml", settings_text(settings.fbank))
    return len(frames), len(names)


def judge(where: str, succeeded: int, failed: dict[str, str], listing: str) -> None:
    """Accept up to 5 % of failures, as Kaldi does, with a warning that counts and names them.

    Raises:
        AsitError: fewer than 95 % succeeded; the first failures are named, all are in `listing`.
    """
    if not failed:
        return
    total = succeeded + len(failed)
    first = "; ".join(list(failed.values())[:NAMED_FAILURES])
    message = (
        f"{where}: features of {succeeded} of {total} utterances, {len(failed)} failed (all in {listing}): {first}"
    )
    if succeeded * 20 < total * 19:
        raise AsitError(f"{message}. Expected at least 95 %; repair or remove these utterances")
    print(f"warning: {message}. asit-fix-data-dir leaves them out", file=sys.stderr)


def remark(where: str, succeeded: int, loud: dict[str, str], fbank: FbankSettings) -> None:
    """Warn of what went through but looks wrong: samples of another range, filters without a spectrum bin."""
    empty = empty_filters(fbank)
    if empty:
        print(f"warning: {where}: {empty}", file=sys.stderr)
    if loud:
        first = "; ".join(f"{utt}: {problem}" for utt, problem in list(loud.items())[:NAMED_FAILURES])
        print(
            f"warning: {where}: {len(loud)} of {succeeded} utterances are far louder than full scale and so are their "
            f"features: {first}",
            file=sys.stderr,
        )


def settings_text(settings: FbankSettings) -> str:
    """The settings as YAML, in their order, without those that are none."""
    return yaml.safe_dump({k: v for k, v in to_dict(settings).items() if v is not None}, sort_keys=False)


def write_lines(path: str, table: dict[str, str]) -> None:
    """Like :func:`asit.kaldi.table.write_table`, but a part's table may be empty."""
    write_text(path, "".join(f"{key} {value}\n" for key, value in sorted(table.items())))


def _features(clip: Clip | AsitError, fbank: Fbank, settings: ExtractSettings) -> tuple[np.ndarray, float, str | None]:
    """Features (T, F) and duration in seconds of one clip, and what looks wrong with its range."""
    if isinstance(clip, AsitError):
        raise clip
    if not settings.allow_pipes:
        pipes.refuse(clip.path, f"utterance '{clip.utt}'", "--allow-pipes true")
    rate = fbank.settings.sample_rate
    samples, _ = read_audio(
        clip.path,
        rate,
        clip.utt,
        resample=settings.resample,
        channel=channel_of(settings.fbank.channel),
        start=clip.start,
        end=clip.end,
        allow_pipes=settings.allow_pipes,
    )
    feats = fbank(samples, clip.utt)
    finite = np.isfinite(feats)
    if not finite.all():
        bad = feats.size - int(finite.sum())
        raise AsitError(
            f"utterance '{clip.utt}': {clip.path}: {bad} of {feats.size} feature values are NaN or infinite, from "
            f"samples up to {np.abs(samples).max():g}; expected samples in [-1, 1]; convert the file again"
        )
    return feats, len(samples) / rate, range_problem(samples, fbank.settings.waveform_scale)
