"""Audio as it comes: files of any format, standard input, arrays, folders and lists of recordings."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from asit.errors import AsitError, excerpt
from asit.io.audio import range_problem, read_audio, resampled
from asit.io.audio_files import EXTENSIONS, UNREADABLE_EXTENSIONS
from asit.io.channels import MIX, one_channel

log = logging.getLogger(__name__)
MOST_CHANNELS = 64  # of an array: more are samples, given the other way round
RESAMPLED = "%s: resampled from %d Hz to the model's %d Hz"
FFMPEG = ("ffmpeg", "-nostdin", "-v", "error", "-i")


class Source(NamedTuple):
    """A recording by name."""

    name: str  # what the output calls it: an utterance id, or the path
    path: str  # a file, - for standard input, or a command that ends in |


def waveform(
    audio: Any, wanted: int, rate: int | None = None, channel: int | str = MIX, allow_pipes: bool = False
) -> np.ndarray:
    """Samples of a recording at ``wanted`` Hz, float32 (samples,) in [-1, 1].

    Args:
        audio: a path (- is standard input), or numbers: an array or a tensor (samples,), (samples, channels) or
            (channels, samples). Integers are divided by the largest of their kind.
        rate: Hz of numbers; files know their own.
        channel: which of several, from 0, or "mix": their mean.
        allow_pipes: run ``cmd |`` in place of a file.

    Raises:
        AsitError: not audio, or numbers without a rate, without samples, or not finite.
    """
    if isinstance(audio, str | os.PathLike):
        if rate is not None:
            raise AsitError(f"{os.fspath(audio)}: rate={rate} is for arrays; a file knows its own")
        return _of_file(os.fspath(audio), wanted, channel, allow_pipes)
    if rate is None:
        raise AsitError("an array of samples does not tell its rate: give rate=, in Hz")
    if not isinstance(rate, Real) or not 0 < rate < 10**7:
        raise AsitError(f"rate: expected samples a second, such as 16000, found {rate!r}")
    samples = _of_numbers(audio, channel)
    _warn("array", samples)
    if rate == wanted:
        return samples
    return resampled(samples, rate, wanted)


def readable(name: str, data: bytes) -> bytes:
    """The content of a file as libsndfile reads it: as it is, or decoded by ffmpeg where the file's name asks for it.

    Raises:
        AsitError: ffmpeg is not installed, or cannot decode it.
    """
    if not _takes_ffmpeg(name):
        return data
    with tempfile.NamedTemporaryFile() as file:  # an mp4's index may be at its end: a pipe would not do
        file.write(data)
        file.flush()
        return _by_ffmpeg(file.name, name)


def sources(words: Sequence[str]) -> list[Source]:
    """The recordings that words on a command line name: files, folders with all audio files below them, .txt lists
    with a path on each line, Kaldi's wav.scp (any name that ends in .scp), and - for standard input.

    Raises:
        AsitError: a folder without audio, or a list that cannot be read or is empty.
    """
    found: list[Source] = []
    for word in words:
        if word != "-" and os.path.isdir(word):
            found += _below(word)
        elif word.endswith((".scp", ".txt")):
            found += _listed(word)
        else:
            found.append(Source(word, word))
    return found


def _below(folder: str) -> Iterator[Source]:
    known = EXTENSIONS | UNREADABLE_EXTENSIONS
    found = sorted(
        os.path.join(place, name)
        for place, _, names in os.walk(folder, followlinks=True)
        for name in names
        if os.path.splitext(name)[1].lower() in known
    )
    if not found:
        raise AsitError(f"{folder}: expected audio files below this folder, found none; name the files themselves")
    yield from (Source(path, path) for path in found)


def _listed(path: str) -> Iterator[Source]:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape") as stream:
            lines = [line.strip() for line in stream if line.strip()]
    except OSError as error:
        raise AsitError(f"{path}: cannot read: {error.strerror}") from None
    if not lines:
        raise AsitError(f"{path}: expected a recording on each line, found none")
    for number, line in enumerate(lines, 1):
        if not path.endswith(".scp"):
            yield Source(line, line)
            continue
        name, *place = line.split(maxsplit=1)
        if not place:
            raise AsitError(f"{path}:{number}: expected '<utterance> <file>', found '{excerpt(line)}'")
        yield Source(name, place[0])


def _of_file(path: str, wanted: int, channel: int | str, allow_pipes: bool) -> np.ndarray:
    data = _streamed(path)
    if data is None and _takes_ffmpeg(path) and os.path.isfile(path):
        data = _by_ffmpeg(path, path)
    samples, found = read_audio(path, wanted, resample=True, channel=channel, data=data, allow_pipes=allow_pipes)
    if found != wanted:
        log.info(RESAMPLED, path, found, wanted)
    _warn(path, samples)
    return samples


def _warn(name: str, samples: np.ndarray) -> None:
    problem = range_problem(samples)
    if problem:
        log.warning("%s: %s", name, problem)


def _of_numbers(audio: Any, channel: int | str) -> np.ndarray:
    if hasattr(audio, "detach"):  # a tensor; numpy has no bfloat16
        audio = audio.detach().cpu()
        audio = audio.float() if audio.is_floating_point() else audio
    samples = np.asarray(audio)
    if samples.dtype == object or samples.ndim not in (1, 2):
        raise AsitError(
            f"expected a path or an array of samples, (samples,) or (samples, channels), found {type(audio).__name__} "
            f"of shape {samples.shape}"
        )
    if samples.ndim == 2 and samples.shape[0] <= MOST_CHANNELS < samples.shape[1]:
        samples = samples.T
    if samples.size == 0:
        raise AsitError("the array holds no samples; leave the recording out")
    if samples.dtype.kind in "iu":  # of unsigned ones, as 8-bit audio is, the zero is in the middle
        half = (np.iinfo(samples.dtype).max + 1) / (2 if samples.dtype.kind == "u" else 1)
        samples = (samples.astype(np.float64) - half * (samples.dtype.kind == "u")) / half
    elif samples.dtype.kind != "f":
        raise AsitError(f"expected samples as numbers, found an array of {samples.dtype}")
    samples = samples.astype(np.float32)
    if not np.isfinite(samples).all():
        bad = int(np.count_nonzero(~np.isfinite(samples)))
        raise AsitError(f"{bad} of {samples.size} samples of the array are NaN or infinite")
    if samples.ndim == 1:
        return np.ascontiguousarray(samples)
    if channel != MIX and not 0 <= int(channel) < samples.shape[1]:
        raise AsitError(
            f"channel {channel} does not exist: the array has {samples.shape[1]}, counted from 0; choose another "
            "(channel=0)"
        )
    return one_channel(samples, channel)


def _streamed(path: str) -> bytes | None:
    """The content of standard input (``-``) or of a pipe such as ``<(...)``, which can be read only once."""
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        if stat.S_ISFIFO(os.stat(path).st_mode):
            with open(path, "rb") as stream:
                return stream.read()
    except (OSError, ValueError):  # read_audio says what is wrong with the name
        return None
    return None


def _takes_ffmpeg(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in UNREADABLE_EXTENSIONS


def _by_ffmpeg(path: str, name: str) -> bytes:
    """A file that libsndfile does not read, as a wav file; messages call it ``name``."""
    if not shutil.which(FFMPEG[0]):
        raise AsitError(f"{name}: this format takes ffmpeg, which is not installed; install it or convert the file")
    words = [*FFMPEG, os.path.abspath(path), "-f", "wav", "-c:a", "pcm_f32le", "-"]
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        raise AsitError(f"{name}: ffmpeg cannot decode it: {excerpt(done.stderr.decode(errors='replace'), 200)}")
    return done.stdout
