"""Reading one clip: any format that libsndfile reads, one channel, a known rate, or one clear error.

libsndfile is lenient: a wav file cut short reads as a shorter clip, a truncated flac as what was left, an MP3 as far
as its head tells or lets guess. Here the head of a file and its content must agree, and what has no head to trust is
read until the decoder gives no more.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import soundfile
import soxr

from asit.errors import AsitError
from asit.io import pipes, streams
from asit.io.audio_files import check_content, check_file, unreadable
from asit.io.channels import check_channel, one_channel

# How far a segment may reach beyond the recording and is then cut (Kaldi extract-segments, --max-overshoot).
MAX_OVERSHOOT = 0.5  # seconds
_PCM_16 = np.float32(1 / 32768)  # a power of two: the samples stay what libsndfile makes of them
_UNKNOWN_LENGTH = 2**62  # libsndfile's mark for a stream whose head does not tell its length
_BLOCK = 2**22  # samples decoded at once: a head with a wrong length must not decide how much memory is taken
_QUALITY = "HQ"
LOUDEST = 4.0  # of samples in [-1, 1]; decoders and converters go a little above 1, other ranges far


def read_audio(
    path: str | os.PathLike[str],
    rate: int | None = None,
    utt: str | None = None,
    *,
    resample: bool = False,
    channel: int | str | None = None,
    start: float = 0.0,
    end: float | None = None,
    allow_pipes: bool = False,
    data: bytes | None = None,
) -> tuple[np.ndarray, int]:
    """Samples of a clip, float32 (samples,), and the file's own rate in Hz. Integer formats are in [-1, 1].

    It is decoded, mixed and converted block by block: an hour in stereo takes the memory of one channel at `rate`.

    Args:
        path: an audio file, or with `allow_pipes` a Kaldi command ``cmd |`` that writes one.
        rate: the rate that is wanted; None takes the file's.
        utt: named in error messages.
        resample: convert another rate to `rate` (soxr, high quality) instead of refusing it.
        channel: which channel of several, from 0, or MIX, their mean; None refuses files with more than one.
        start, end: seconds, to read a segment; `end` None or -1 reads to the end. An end less than half a
            second after the recording's is cut, as Kaldi does.
        allow_pipes: run commands instead of refusing them.
        data: the content, where it was read already (standard input); `path` is then only its name.

    Raises:
        AsitError: missing file, folder, pipe or device, empty file, not audio, no samples, head and content disagree
            (truncated), several channels and no choice, other rate, NaN or infinite samples, a segment
            outside the recording, a command without `allow_pipes`.
    """
    name = os.fspath(path)
    where = f"utterance '{utt}': {name}" if utt else name
    if data is None and pipes.is_pipe(name):
        if not allow_pipes:
            pipes.refuse(name, f"utterance '{utt}'" if utt else "")
        data = pipes.output_of(name, f"utterance '{utt}'" if utt else "")
    with _decoding(name, where):
        clip = _read(_content(name, where, data), where, channel, start, end, rate if resample else None)
    if clip.bad:
        raise AsitError(f"{where}: {clip.bad} of {clip.taken} samples are NaN or infinite; convert the file again")
    if rate is not None and clip.rate != rate:
        if not resample:
            raise AsitError(
                f"{where}: expected {rate} Hz, found {clip.rate} Hz; resample the files or set --resample true"
            )
        if clip.samples.size == 0:
            raise AsitError(f"{where}: {clip.taken} samples at {clip.rate} Hz leave none at {rate} Hz; remove the clip")
    return clip.samples, clip.rate


def resampled(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Samples (samples,) at another rate in Hz, float32 (soxr, high quality); of few samples perhaps none."""
    return np.ascontiguousarray(soxr.resample(samples, rate, wanted, quality=_QUALITY), dtype=np.float32)


def audio_info(
    path: str | os.PathLike[str], utt: str | None = None, *, data: bytes | None = None
) -> tuple[int, int, int]:
    """(samples per channel, rate in Hz, channels) of a file, as :func:`read_audio` finds them.

    From its head alone, without decoding, unless that does not tell the length. `data`: as there.

    Raises:
        AsitError: missing, no regular file, empty, not audio, no samples, or a head that disagrees with the content
            as far as that shows without decoding.
    """
    name = os.fspath(path)
    where = f"utterance '{utt}': {name}" if utt else name
    if data is None:
        pipes.refuse(name, f"utterance '{utt}'" if utt else "")
    with _decoding(name, where):
        source = _content(name, where, data)
        with soundfile.SoundFile(source) as stream:
            rate, channels, frames = stream.samplerate, stream.channels, stream.frames
            divided = _parts(source, stream.format)
        if divided is not None or frames >= _UNKNOWN_LENGTH:
            frames, channels = _joined(divided or [source], where)[1].shape
    if frames <= 0:
        raise AsitError(f"{where}: the file holds no samples; remove the clip")
    return int(frames), int(rate), int(channels)


def range_problem(samples: np.ndarray, scale: float = 1.0) -> str | None:
    """What is wrong with the range of samples that should be in [-1, 1] after the front end's `scale`, or None.

    A float file may hold 16-, 24- or 32-bit numbers (``scipy.io.wavfile.write`` of int16 data cast to float32): its
    log-mels are higher by twice the log of the factor than those of the same sound in [-1, 1].
    """
    peak = float(np.abs(samples).max(initial=0.0))
    if peak * min(scale, 1.0) <= LOUDEST:
        return None
    bits = next((b for b in (8, 16, 24) if peak <= 2 ** (b - (b > 8))), 32)
    return (
        f"samples up to {peak:g}, expected [-1, 1]: they look like {bits}-bit integers stored as numbers with a point; "
        f"divide them by {2 ** (bits - 1)} or store them as integers"
    )


@contextmanager
def _decoding(name: str, where: str) -> Iterator[None]:
    """Whatever soundfile raises for one file is this file's error, not the end of a job."""
    try:
        yield
    except MemoryError:
        raise AsitError(f"{where}: not enough memory to decode it; split the recording or convert the file") from None
    except (RuntimeError, ValueError, TypeError, OSError, OverflowError) as error:  # LibsndfileError is a RuntimeError
        raise AsitError(f"{where}: {unreadable(name, error)}") from None


def _content(name: str, where: str, data: bytes | None) -> bytes | io.BytesIO:
    """What soundfile is to open: the name as bytes (it need not be UTF-8), or the content."""
    if data is None:
        check_file(name, where)
        return os.fsencode(name)
    stream = io.BytesIO(data)
    check_content(stream, len(data), where, streamed=True)
    stream.seek(0)
    return stream


def _parts(source: bytes | io.BytesIO, kind: str) -> list[io.BytesIO] | None:
    """Streams to read one after the other in place of a source that libsndfile would read short, or None."""
    if kind not in streams.FORMATS:
        return None
    if isinstance(source, bytes):
        with open(source, "rb") as stream:
            data = stream.read()
    else:
        data = source.getvalue()
    found = streams.parts(data, kind)
    return None if found is None else [io.BytesIO(part) for part in found]


class _Clip(NamedTuple):
    """One channel of a recording or a segment."""

    rate: int  # of the recording, Hz
    taken: int  # samples of it
    bad: int  # of these NaN or infinite
    samples: np.ndarray  # float32, at the wanted rate


def _read(
    source: bytes | io.BytesIO,
    where: str,
    channel: int | str | None,
    start: float,
    end: float | None,
    wanted: int | None,
) -> _Clip:
    try:
        with soundfile.SoundFile(source) as stream:
            rate, channels, frames = stream.samplerate, stream.channels, stream.frames
            divided = _parts(source, stream.format)
            if divided is None:  # else the streams together tell it
                check_channel(where, channels, channel)
            exact = (
                not start or stream.format != "MP3"
            )  # an MP3 decoder that starts in the middle lacks what came before
            if divided is None and frames < _UNKNOWN_LENGTH and exact:
                if frames <= 0:
                    raise AsitError(f"{where}: the file holds no samples; remove the clip")
                first, last = _segment(where, rate, frames, start, end)
                if first:
                    stream.seek(first)
                clip = _take(_blocks(stream, last - first), channel, rate, wanted)
                if clip.taken != last - first:
                    raise AsitError(
                        f"{where}: truncated: the head promises {frames} samples, decoding stopped after "
                        f"{first + clip.taken}; copy or convert the file again"
                    )
                return clip
        rate, samples = _joined(divided or [source], where)
        check_channel(where, samples.shape[1], channel)
    except AsitError as error:
        raise error if str(error).startswith(where) else AsitError(f"{where}: {error}") from None
    if len(samples) == 0:
        raise AsitError(f"{where}: the file holds no samples; remove the clip")
    first, last = _segment(where, rate, len(samples), start, end)
    return _take(iter([samples[first:last]]), channel, rate, wanted)


def _take(blocks: Iterator[np.ndarray], channel: int | str | None, rate: int, wanted: int | None) -> _Clip:
    """Blocks (samples, channels) to one channel at the wanted rate: bit-equal to :func:`resampled` of the whole."""
    stream = None if wanted in (None, rate) else soxr.ResampleStream(rate, wanted, 1, np.float32, _QUALITY)
    found: list[np.ndarray] = []
    taken = bad = 0
    for block in blocks:
        samples = one_channel(block, channel)
        taken += len(samples)
        bad += len(samples) - int(np.count_nonzero(np.isfinite(samples)))
        found.append(samples if stream is None else stream.resample_chunk(samples))
    if stream is not None:
        found.append(stream.resample_chunk(np.empty(0, np.float32), last=True))
    return _Clip(rate, taken, bad, found[0] if len(found) == 1 else np.concatenate(found))


def _joined(sources: list[Any], where: str) -> tuple[int, np.ndarray]:
    """(rate, samples) of streams that follow each other, each decoded to its end."""
    found: list[np.ndarray] = []
    kinds: list[tuple[int, int]] = []
    for source in sources:
        if isinstance(source, io.BytesIO):
            source.seek(0)
        with soundfile.SoundFile(source) as stream:
            kinds.append((stream.samplerate, stream.channels))
            found.append(np.concatenate(list(_blocks(stream, None))))
            if stream.frames < _UNKNOWN_LENGTH and len(found[-1]) != stream.frames:
                raise AsitError(
                    f"{where}: truncated: {stream.frames} samples expected, decoding stopped after {len(found[-1])}; "
                    "copy or convert the file again"
                )
    most = max(channels for _, channels in kinds)
    odd = next((kind for kind in kinds if kind[0] != kinds[0][0] or kind[1] not in (1, most)), None)
    if odd:
        raise AsitError(
            f"{where}: joined streams of different kinds ({kinds[0][0]} Hz with {kinds[0][1]} channels, and "
            f"{odd[0]} Hz with {odd[1]}); convert each before joining them"
        )
    # One channel among several is the same on all of them, as players take it.
    return kinds[0][0], np.concatenate([np.broadcast_to(samples, (len(samples), most)) for samples in found])


def _blocks(stream: Any, count: int | None) -> Iterator[np.ndarray]:
    """`count` samples from here in blocks (samples, channels), fewer where the stream ends; None: all."""
    stream.seekable = lambda: False  # else soundfile seeks after each block, which fails at the end of a long promise
    got = 0
    while count is None or got < count:
        wanted = _BLOCK if count is None else min(_BLOCK, count - got)
        if stream.subtype == "PCM_16":  # exact, and several times faster than libsndfile's conversion
            block = np.multiply(stream.read(wanted, dtype="int16", always_2d=True), _PCM_16, dtype=np.float32)
        else:
            block = stream.read(wanted, dtype="float32", always_2d=True)
        yield block
        got += len(block)
        if len(block) < wanted:
            break


def _segment(where: str, rate: int, frames: int, start: float, end: float | None) -> tuple[int, int]:
    """First and last (exclusive) sample of a segment in seconds, rounded to the nearest sample."""
    length = frames / rate
    whole = end is None or end == -1
    if not (0 <= start < length) or (not whole and not (start < end <= length + MAX_OVERSHOOT)):
        raise AsitError(
            f"{where}: segment {start:g} to {'the end' if whole else f'{end:g}'} s is not inside the recording "
            f"({length:.3f} s); correct the segments file"
        )
    first = round(start * rate)
    last = frames if whole else min(round(end * rate), frames)
    if last <= first:
        raise AsitError(f"{where}: segment {start:g} to {end:g} s holds no sample at {rate} Hz; remove it")
    return first, last
