"""What libsndfile does not tell of coded streams: how long they are and where one ends and the next begins.

It takes an MP3's length from its Xing frame, or guesses it, and stops there; of joined Ogg and flac streams it reads
the first. Here the frames and pages themselves are counted, and what it would read short is
put into a form that it reads whole.
"""

from __future__ import annotations

import re
import struct

from asit.errors import AsitError

FORMATS = ("MP3", "OGG", "FLAC")  # libsndfile's names of the formats that need this look
MOST_GARBAGE = 4096  # bytes between MPEG frames that are neither frame nor tag; recorders leave a few
_KILOBITS = {  # by (MPEG 1, layer)
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_KILOBITS[False, 3] = _KILOBITS[False, 2]
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version bits
_FLAC_HEAD = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # mark and head of the STREAMINFO block, 34 bytes
_XING_MINIMUM = 192  # bytes of a frame that holds the side information and the tag


def parts(data: bytes, kind: str) -> list[bytes] | None:
    """Streams that libsndfile reads whole, in their order; None when `data` is one already.

    Args:
        data: the file.
        kind: one of ``FORMATS``.

    Raises:
        AsitError: truncated or damaged; the text lacks the file's name.
    """
    if kind == "MP3":
        return _mpeg(data)
    found = _ogg(data) if kind == "OGG" else [match.start() for match in _FLAC_HEAD.finditer(data)]
    if len(found) < 2:
        return None
    return [data[begin:end] for begin, end in zip(found, [*found[1:], len(data)], strict=True)]


def _ogg(data: bytes) -> list[int]:
    """Where the links of a chained Ogg file begin: at a first page that does not follow another first page."""
    begins: list[int] = []
    at, among_first = 0, False
    while at < len(data):
        if data[at : at + 4] != b"OggS":
            if data[at : at + 3] in (b"TAG", b"ID3") or not data[at:].strip(b"\0"):
                break
            raise AsitError(f"damaged: no Ogg page at byte {at} of {len(data)}; copy or convert the file again")
        lacing = data[at + 27 : at + 27 + data[at + 26]] if at + 27 <= len(data) else b""
        end = at + 27 + len(lacing) + sum(lacing)
        if at + 27 > len(data) or len(lacing) < data[at + 26] or end > len(data):
            raise AsitError("truncated: the last Ogg page is cut short; copy or convert the file again")
        first = bool(data[at + 5] & 2)
        if first and not among_first:
            begins.append(at)
        at, among_first = end, first
    return begins


class _Header:
    """What the four bytes before an MPEG frame say."""

    def __init__(self, head: bytes) -> None:
        version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
        self.mpeg1, self.layer = version == 3, layer
        self.rate = _RATES[version][head[2] >> 2 & 3]
        self.mono = head[3] >> 6 == 3
        self.sound = (self.rate, self.mono, layer)
        self.samples = {1: 384, 2: 1152, 3: 1152 if self.mpeg1 else 576}[layer]
        self.length = self._length(head[2] >> 4, head[2] >> 1 & 1)
        # A Xing or Info tag stands where the samples would begin.
        self.tag = 4 + ((17 if self.mono else 32) if self.mpeg1 else (9 if self.mono else 17))

    def _length(self, bitrate: int, padding: int) -> int:
        bits = _KILOBITS[self.mpeg1, self.layer][bitrate] * 1000
        if self.layer == 1:
            return (12 * bits // self.rate + padding) * 4
        return self.samples // 8 * bits // self.rate + padding

    def xing(self, head: bytes, count: int) -> bytes:
        """A layer III frame with a Xing tag that tells the number of frames after it."""
        bitrate = next(b for b in range(1, 15) if self._length(b, 0) >= _XING_MINIMUM)
        frame = bytearray(self._length(bitrate, 0))
        frame[:4] = bytes([0xFF, head[1] | 1, bitrate << 4 | head[2] & 0x0C, head[3]])
        frame[self.tag : self.tag + 12] = struct.pack(">4sII", b"Xing", 1, count)
        return bytes(frame)


def _mpeg(data: bytes) -> list[bytes] | None:
    """The frames of an MPEG audio file after a Xing frame that tells their number; None where there is a right one."""
    headers: dict[bytes, _Header | None] = {}

    def header(at: int) -> _Header | None:
        head = data[at : at + 4]
        if head not in headers:
            headers[head] = _Header(head) if _is_header(head) else None
        return headers[head]

    frames: list[tuple[int, int]] = []
    promised: list[int | None] = []  # by each stream's Xing tag
    first: _Header | None = None
    at, garbage, size = 0, 0, len(data)
    while at < size:
        found = header(at)
        ends = found is not None and at + found.length >= size
        if found is None or not (garbage == 0 or ends or header(at + found.length)):
            step = _tag_length(data, at)
            if not step:
                following = data.find(b"\xff", at + 1)
                step = (following if following >= 0 else size) - at
                garbage += step
            at += step
            continue
        if garbage > MOST_GARBAGE and frames:
            raise AsitError(f"damaged: {garbage} bytes before byte {at} are no MPEG frames; convert the file again")
        garbage = 0
        if first is None:
            first = found
        elif found.sound != first.sound:
            raise AsitError(
                f"streams of different kinds are joined ({first.rate} Hz, {'one channel' if first.mono else 'stereo'}, "
                f"then {found.rate} Hz, {'one channel' if found.mono else 'stereo'}); convert each before joining them"
            )
        frame = data[at : at + found.length]
        if frame[found.tag : found.tag + 4] in (b"Xing", b"Info"):
            flags, count = struct.unpack(">II", frame[found.tag + 4 : found.tag + 12].ljust(8, b"\0"))
            promised.append(count if flags & 1 else None)
        elif frame[36:40] == b"VBRI":
            promised.append(None)
        elif len(frame) == found.length:  # a recorder stops inside the last frame
            frames.append((at, at + found.length))
        at += found.length
    if first is None or not frames or first.length == 0:
        return None  # the decoder judges
    if promised == [len(frames)]:
        return None
    told = sum(count or 0 for count in promised)
    if len(frames) < told - len(promised):  # some encoders count the Xing frame too
        raise AsitError(f"truncated: the head promises {told} frames, {len(frames)} are there; copy the file again")
    begin = frames[0][0]
    if first.layer < 3:  # has no such tag
        return None
    return [first.xing(data[begin : begin + 4], len(frames)) + b"".join(data[a:b] for a, b in frames)]


def _is_header(head: bytes) -> bool:
    """Sync, and no reserved version, layer, rate or bit rate; a free bit rate cannot be followed."""
    return (
        len(head) == 4
        and head[0] == 0xFF
        and head[1] & 0xE0 == 0xE0
        and head[1] >> 3 & 3 != 1
        and head[1] >> 1 & 3 != 0
        and 0 < head[2] >> 4 < 15
        and head[2] >> 2 & 3 != 3
    )


def _tag_length(data: bytes, at: int) -> int:
    """Bytes of a tag, or of zeros up to the end, that begins here; 0 if none does."""
    head = data[at : at + 32]
    if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 128:
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return 10 + size + (10 if head[5] & 0x10 else 0)
    if head[:3] == b"TAG":
        return 128
    if head[:8] == b"APETAGEX" and len(head) == 32:
        size, flags = struct.unpack("<I4xI", head[12:24])
        return size + 32 if flags & 0x20000000 else 32  # from its header, or a footer alone
    if head[:1] == b"\0" and not data[at:].strip(b"\0"):
        return len(data) - at
    return 0
