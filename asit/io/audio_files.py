"""Audio files as they are on disk: which there are, and what is wrong with one before it is decoded."""

from __future__ import annotations

import os
import stat
import struct
from typing import BinaryIO

from asit.errors import AsitError

# Names that audio files end with, in small letters. A reader goes by the content; a corpus is searched by these.
EXTENSIONS = frozenset(
    [
        ".8svx",
        ".aif",
        ".aifc",
        ".aiff",
        ".au",
        ".avr",
        ".bwf",
        ".caf",
        ".flac",
        ".gsm",
        ".ircam",
        ".mp1",
        ".mp2",
        ".mp3",
        ".nist",
        ".oga",
        ".ogg",
        ".opus",
        ".paf",
        ".pvf",
        ".rf64",
        ".sds",
        ".sf",
        ".snd",
        ".sph",
        ".svx",
        ".voc",
        ".vox",
        ".w64",
        ".wav",
        ".wave",
        ".wve",
        ".xi",
    ]
)
# Audio that libsndfile does not decode.
UNREADABLE_EXTENSIONS = frozenset(
    [
        ".3ga",
        ".3gp",
        ".3gpp",
        ".aac",
        ".ac3",
        ".alac",
        ".amr",
        ".ape",
        ".asf",
        ".awb",
        ".dff",
        ".dsf",
        ".dts",
        ".eac3",
        ".m4a",
        ".m4b",
        ".mka",
        ".mp4",
        ".mpc",
        ".qcp",
        ".ra",
        ".rm",
        ".shn",
        ".spx",
        ".tak",
        ".tta",
        ".weba",
        ".webm",
        ".wma",
        ".wv",
    ]
)
_STREAMED = 0x7FFF0000  # a wav head written to a pipe promises this many bytes or more (sox, ffmpeg, Kaldi), or none


def check_file(name: str, where: str) -> None:
    """What libsndfile reports badly or not at all.

    Raises:
        AsitError: no such file, a folder, pipe or device, a name that is none; see :func:`check_content`.
    """
    try:
        status = os.stat(name)
        if stat.S_ISDIR(status.st_mode):
            raise AsitError(f"{where}: expected an audio file, found a folder; correct wav.scp")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe that nobody writes to would wait for ever
            raise AsitError(f"{where}: expected a regular file, found a pipe or device; write its content to a file")
        with open(name, "rb") as stream:
            check_content(stream, status.st_size, where)
    except FileNotFoundError:
        raise AsitError(f"{where}: no such file; correct the path (relative ones count from {os.getcwd()})") from None
    except OSError as error:
        raise AsitError(f"{where}: cannot read: {error.strerror or error}") from None
    except ValueError as error:  # a NUL in the name
        raise AsitError(f"{where}: no file name ({error}); correct the path") from None


def check_content(stream: BinaryIO, size: int, where: str, streamed: bool = False) -> None:
    """A file of `size` bytes whose head can be believed; a `streamed` wav file gets its length written into its head.

    Raises:
        AsitError: it is empty, or a wav head and the content disagree.
    """
    if size == 0:
        raise AsitError(f"{where}: the file is empty (0 bytes); copy it again or remove the clip")
    head = stream.read(12)
    if head[:4] in (b"RIFF", b"RIFX") and head[8:12] == b"WAVE":
        problem = _wav_problem(stream, size, ">" if head[:4] == b"RIFX" else "<", streamed)
        if problem:
            raise AsitError(f"{where}: {problem}")


def _wav_problem(stream: BinaryIO, size: int, order: str, streamed: bool) -> str | None:
    """A disagreement between the chunk heads of a wav file and its size, or None.

    Who writes to a pipe cannot go back and correct the head; in a `streamed` file the samples then reach to its end.
    """
    at = 12
    while at + 8 <= size:
        stream.seek(at)
        kind, length = struct.unpack(f"{order}4sI", stream.read(8))
        at += 8
        if kind == b"data":
            left = size - at
            if streamed and (length == 0 or length >= _STREAMED):
                stream.seek(at - 4)
                stream.write(struct.pack(f"{order}I", left))
                return None
            if length > left:
                return (
                    f"the wav head promises {length} bytes of samples, {left} are there; the file is truncated "
                    "or was written to a pipe; copy it again or rewrite it (sox --ignore-length in.wav out.wav)"
                )
            if length == 0 and left > 1:
                return (
                    f"the wav head promises no samples, {left} bytes follow; rewrite it "
                    "(sox --ignore-length in.wav out.wav)"
                )
            return _wav_tail(stream, at + length, size, order, length)
        at += length + length % 2
    return "a wav head without samples (no data chunk); the file is truncated; copy it again"


def _wav_tail(stream: BinaryIO, at: int, size: int, order: str, length: int) -> str | None:
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


def unreadable(name: str, error: Exception) -> str:
    """What to tell of a file that libsndfile gave up on."""
    reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
    kind = os.path.splitext(name)[1].lower()
    if kind in UNREADABLE_EXTENSIONS:
        return f"libsndfile does not read {kind[1:]}; convert the recording (ffmpeg -i in{kind} out.flac)"
    return (
        f"cannot be decoded ({reason}); expected wav, flac, ogg, mp3 or another format of libsndfile; "
        "convert other ones (ffmpeg -i in out.flac)"
    )
