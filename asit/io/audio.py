"""Reading one clip: any format that libsndfile reads, one channel, a known rate, or one clear error.

libsndfile is lenient: a wav file cut short reads as a shorter clip and a truncated flac as what was left. Here the
head of a file and its content must agree.
"""

from __future__ import annotations

import io
import os
import struct
from typing import Any

import numpy as np
import soundfile
import soxr

from asit.errors import AsitError
from asit.io import pipes, torchaudio_module

# How far a segment may reach beyond the recording and is then cut (Kaldi extract-segments, --max-overshoot).
MAX_OVERSHOOT = 0.5  # seconds
RESAMPLERS = ("soxr", "torchaudio")
# Names that audio files end with, in small letters. A reader goes by the content; a corpus is searched by these.
EXTENSIONS = frozenset(
    ".wav .wave .bwf .rf64 .w64 .flac .ogg .oga .opus .mp3 .mp2 .mp1 .aif .aiff .aifc .caf .au .snd .sph .nist .voc "
    ".avr .paf .pvf .sf .ircam .svx .8svx .sds .wve .xi".split()
)
# Audio that libsndfile does not decode (.gsm, .vox: without a head; gsm in .wav is read).
UNREADABLE_EXTENSIONS = frozenset(
    ".m4a .m4b .mp4 .aac .alac .wma .asf .amr .awb .3gp .3gpp .3ga .webm .weba .mka .ape .wv .mpc .tta .tak .shn .spx "
    ".ac3 .eac3 .dts .dsf .dff .ra .rm .gsm .vox .qcp".split()
)
_PCM_16 = np.float32(1 / 32768)  # a power of two: the samples stay what libsndfile makes of them
_UNKNOWN_LENGTH = 2**62  # libsndfile's mark for a stream whose head does not tell its length


def read_audio(
    path: str | os.PathLike[str],
    rate: int | None = None,
    utt: str | None = None,
    *,
    resample: bool = False,
    resampler: str = "soxr",
    channel: int | None = None,
    start: float = 0.0,
    end: float | None = None,
    allow_pipes: bool = False,
) -> tuple[np.ndarray, int]:
    """Samples of a clip, float32 (samples,), and their rate in Hz. Integer formats lie in [-1, 1].

    Args:
        path: an audio file, or with `allow_pipes` a Kaldi command ``cmd |`` that writes one.
        rate: the rate that is wanted; None takes the file's.
        utt: named in error messages.
        resample: convert another rate to `rate` instead of refusing it.
        resampler: one of ``RESAMPLERS``; soxr at high quality, or torchaudio where it loads.
        channel: which channel of several, from 0; None refuses files with more than one.
        start, end: seconds, to read a segment; `end` None or -1 reads to the end. An end less than half a
            second behind the recording's is cut, as Kaldi does.

    Raises:
        AsitError: missing file, folder, empty file, not audio, no samples, head and content disagree
            (truncated), several channels and no choice, other rate, NaN or infinite samples, a segment
            outside the recording, a command without `allow_pipes`.
    """
    name = os.fspath(path)
    where = f"utterance '{utt}': {name}" if utt else name
    source: str | io.BytesIO = name
    if pipes.is_pipe(name):
        if not allow_pipes:
            pipes.refuse(name, f"utterance '{utt}'" if utt else "")
        source = io.BytesIO(pipes.output_of(name, f"utterance '{utt}'" if utt else ""))
    else:
        _check_file(name, where)
    try:
        with soundfile.SoundFile(source) as stream:
            found, samples = _read(stream, where, channel, start, end)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise AsitError(f"{where}: {_unreadable(name, error)}") from None
    finite = np.isfinite(samples)
    if not finite.all():
        bad = samples.size - int(finite.sum())
        raise AsitError(f"{where}: {bad} of {samples.size} samples are NaN or infinite; convert the file anew")
    if rate is None or found == rate:
        return samples, found
    if not resample:
        raise AsitError(f"{where}: expected {rate} Hz, found {found} Hz; resample the files or set --resample true")
    if resampler == "torchaudio":
        converted = torchaudio_module.resample(samples, found, rate)
    else:
        converted = np.ascontiguousarray(soxr.resample(samples, found, rate, quality="HQ"), dtype=np.float32)
    if converted.size == 0:
        raise AsitError(f"{where}: {samples.size} samples at {found} Hz leave none at {rate} Hz; remove the clip")
    return converted, rate


def audio_info(path: str | os.PathLike[str], utt: str | None = None) -> tuple[int, int, int]:
    """(samples per channel, rate in Hz, channels) from the head of a file, without decoding it.

    Raises:
        AsitError: missing, empty, not audio, no samples, a wav head that disagrees with the file's size, or a
            stream that does not tell its length.
    """
    name = os.fspath(path)
    where = f"utterance '{utt}': {name}" if utt else name
    pipes.refuse(name, f"utterance '{utt}'" if utt else "")
    _check_file(name, where)
    try:
        info = soundfile.info(name)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise AsitError(f"{where}: {_unreadable(name, error)}") from None
    if info.frames >= _UNKNOWN_LENGTH:
        raise AsitError(f"{where}: the head does not tell the length; rewrite the file (sox in.flac out.flac)")
    if info.frames <= 0:
        raise AsitError(f"{where}: the file holds no samples; remove the clip")
    return int(info.frames), int(info.samplerate), int(info.channels)


def _read(stream: Any, where: str, channel: int | None, start: float, end: float | None) -> tuple[int, np.ndarray]:
    """(rate, samples of one channel) of an open file."""
    rate, channels, frames = stream.samplerate, stream.channels, stream.frames
    if frames <= 0:
        raise AsitError(f"{where}: the file holds no samples; remove the clip")
    if channel is None and channels > 1:
        raise AsitError(
            f"{where}: expected one channel, found {channels}; choose one (--channel 0) or mix the files down"
        )
    if channel is not None and not 0 <= channel < channels:
        raise AsitError(f"{where}: channel {channel} does not exist: the file has {channels}, counted from 0")
    known = frames < _UNKNOWN_LENGTH
    first, last = _segment(where, rate, frames, start, end)
    if first:
        stream.seek(first)
    count = last - first if known or end not in (None, -1) else -1
    if stream.subtype == "PCM_16":  # exact, and several times faster than libsndfile's conversion
        samples = np.multiply(stream.read(count, dtype="int16", always_2d=True), _PCM_16, dtype=np.float32)
    else:
        samples = stream.read(count, dtype="float32", always_2d=True)
    if known and len(samples) != last - first:
        raise AsitError(
            f"{where}: truncated: the head promises {frames} samples, decoding stopped after {first + len(samples)}; "
            "copy or convert the file anew"
        )
    if len(samples) == 0:
        raise AsitError(f"{where}: the file holds no samples; remove the clip")
    return rate, np.ascontiguousarray(samples[:, channel or 0])


def _segment(where: str, rate: int, frames: int, start: float, end: float | None) -> tuple[int, int]:
    """First and last (exclusive) sample of a segment in seconds, rounded to the nearest sample."""
    length = frames / rate
    whole = end is None or end == -1
    if not (0 <= start < length) or (not whole and not (start < end <= length + MAX_OVERSHOOT)):
        raise AsitError(
            f"{where}: segment {start:g} to {'the end' if whole else f'{end:g}'} s does not lie in the recording "
            f"({length:.3f} s); correct the segments file"
        )
    first = round(start * rate)
    last = frames if whole else min(round(end * rate), frames)
    if last <= first:
        raise AsitError(f"{where}: segment {start:g} to {end:g} s holds no sample at {rate} Hz; remove it")
    return first, last


def _check_file(name: str, where: str) -> None:
    """What libsndfile reports badly or not at all."""
    if os.path.isdir(name):
        raise AsitError(f"{where}: expected an audio file, found a folder; correct wav.scp")
    try:
        with open(name, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            head = stream.read(12)
            if size == 0:
                raise AsitError(f"{where}: the file is empty (0 bytes); copy it anew or remove the clip")
            if head[:4] in (b"RIFF", b"RIFX") and head[8:12] == b"WAVE":
                problem = _wav_problem(stream, size, ">" if head[:4] == b"RIFX" else "<")
                if problem:
                    raise AsitError(f"{where}: {problem}")
    except FileNotFoundError:
        raise AsitError(f"{where}: no such file; correct the path (relative ones count from {os.getcwd()})") from None
    except OSError as error:
        raise AsitError(f"{where}: cannot read: {error.strerror or error}") from None


def _wav_problem(stream: io.BufferedReader, size: int, order: str) -> str | None:
    """A disagreement between the chunk heads of a wav file and its size, or None."""
    at = 12
    while at + 8 <= size:
        stream.seek(at)
        kind, length = struct.unpack(f"{order}4sI", stream.read(8))
        at += 8
        if kind == b"data":
            left = size - at
            if length > left:
                return (
                    f"the wav head promises {length} bytes of samples, {left} are there; the file is truncated "
                    "or was written to a pipe; copy it anew or rewrite it (sox --ignore-length in.wav out.wav)"
                )
            if length == 0 and left > 1:
                return (
                    f"the wav head promises no samples, {left} bytes follow; rewrite it "
                    "(sox --ignore-length in.wav out.wav)"
                )
            return _wav_tail(stream, at + length, size, order, length)
        at += length + length % 2
    return "a wav head without samples (no data chunk); the file is truncated; copy it anew"


def _wav_tail(stream: io.BufferedReader, at: int, size: int, order: str, length: int) -> str | None:
    """What follows the samples must be chunks or a tag, else the head promises too little."""
    at += length % 2
    while at + 8 <= size:
        stream.seek(at)
        kind, more = struct.unpack(f"{order}4sI", stream.read(8))
        if kind[:3] in (b"TAG", b"ID3"):
            return None
        if not (kind.isascii() and kind.decode().isprintable()) or at + 8 + more > size:
            if kind == b"\0\0\0\0" and size - at <= 4096:
                return None  # padding to a block
            return (
                f"the wav head promises {length} bytes of samples, {size - at} more follow that are no chunk; "
                "rewrite it (sox --ignore-length in.wav out.wav)"
            )
        at += 8 + more + more % 2
    return None


def _unreadable(name: str, error: Exception) -> str:
    reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
    return f"cannot be decoded ({reason}); expected wav, flac, ogg, mp3 or another format of libsndfile"
