"""Where a matrix is in a Kaldi archive: ``file.ark:offset[rows,columns]``, and what is there.

Source of the formats: Kaldi ``src/util/kaldi-holder.cc`` (ranges), ``src/matrix/kaldi-matrix.cc`` (FM, DM),
``src/matrix/kaldi-vector.cc`` (FV, DV), ``src/matrix/compressed-matrix.{h,cc}`` (CM, CM2, CM3).
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from typing import IO

import numpy as np

from asit.errors import AsitError, excerpt
from asit.kaldi.column_values import parse_count
from asit.kaldi.table import MOST_DIGITS

# A range may reach this many rows beyond the last one and is then cut (Kaldi: edge effects of framing).
ROW_TOLERANCE = 2
HEAD_BYTES = 64  # more than any head takes
MOST_TEXT = 1 << 28  # bytes of a matrix in text form, some ten million values
VALUE_BYTES = {"FM": 4, "DM": 8, "FV": 4, "DV": 8, "CM": 1, "CM2": 2, "CM3": 1}
COLUMN_BYTES = 8  # CM: four 16-bit percentiles before the values of all columns

_FOREIGN = {
    b"RIFF": "a wav file",
    b"fLaC": "a flac file",
    b"AUDIO": "audio",
    b"NPY": "a numpy array",
    b"PKL": "a pickle, which can run code when it is read",
}


@dataclass(frozen=True)
class Spec:
    """One entry of a ``feats.scp``. `offset` is None for a file that holds one matrix and no key."""

    text: str
    path: str
    offset: int | None
    rows: tuple[int, int] | None
    columns: tuple[int, int] | None


@dataclass(frozen=True)
class Header:
    """What stands at an offset: kind FM, DM, CM, CM2, CM3, FV, DV, or TEXT (whose shape is not known yet).

    `start`: bytes from the offset to the values (CM: to the headers of the columns). `minimum`, `extent`: least
    value and range of a compressed matrix.
    """

    kind: str
    rows: int
    columns: int
    start: int = 0
    minimum: float = 0.0
    extent: float = 0.0


def parse(text: str) -> Spec:
    """Cut ``path:offset[r0:r1,c0:c1]``; ends are inclusive, as in Kaldi. Spaces in the path are kept.

    Raises:
        AsitError: an empty path, a malformed range, or numbers that no archive reaches.

    >>> parse("my feats.ark:123[0:9,2:5]")
    Spec(text='my feats.ark:123[0:9,2:5]', path='my feats.ark', offset=123, rows=(0, 9), columns=(2, 5))
    """
    path, rows, columns = text.strip(), None, None
    if path.endswith("]") and "[" in path:
        path, _, inside = path[:-1].rpartition("[")
        parts = inside.split(",")
        if len(parts) > 2:
            raise AsitError(f"'{excerpt(text)}': expected a range [r0:r1] or [r0:r1,c0:c1], found [{excerpt(inside)}]")
        rows = _range(parts[0], text)
        columns = _range(parts[1], text) if len(parts) == 2 else None
    head, colon, tail = path.rpartition(":")
    offset = None
    if colon and tail.isascii() and tail.isdigit():
        if len(tail) > MOST_DIGITS:
            raise AsitError(f"'{excerpt(text)}': expected an offset in bytes, found a number of {len(tail)} digits")
        path, offset = head, int(tail)
    if not path:
        raise AsitError(f"'{excerpt(text)}': expected 'file.ark:offset', found no file name")
    if "\0" in path:
        raise AsitError(f"'{excerpt(text)}': the file name holds a NUL character; create the scp file again")
    return Spec(text, path, offset, rows, columns)


def narrow(spec: Spec, first: int, last: int) -> Spec:
    """The spec of rows [first, last) of what a spec names, which may itself be a range.

    >>> narrow(parse("f.ark:5[10:29,0:3]"), 2, 4).rows
    (12, 13)
    """
    start = spec.rows[0] if spec.rows else 0
    rows = (start + first, start + last - 1)
    return Spec(f"{spec.text} rows {first} to {last - 1}", spec.path, spec.offset, rows, spec.columns)


def bounds(spec: Spec, rows: int, columns: int) -> tuple[int, int, int, int]:
    """(r0, r1, c0, c1): rows [r0, r1) and columns [c0, c1) of a matrix that the spec asks for.

    Raises:
        AsitError: a range outside the matrix.
    """
    r0, r1 = spec.rows or (0, rows - 1)
    c0, c1 = spec.columns or (0, columns - 1)
    if r0 >= rows or r1 > rows - 1 + ROW_TOLERANCE or c1 >= columns:
        raise AsitError(
            f"'{spec.text}': the range is outside the {rows} x {columns} matrix; "
            "create the scp file again from the archive it belongs to"
        )
    return r0, min(r1 + 1, rows), c0, c1 + 1


def check(stream: IO[bytes], spec: Spec) -> Header:
    """Look at the head of the matrix at the offset, and leave `stream` there. Errors as :func:`check_head`."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(spec.offset or 0)
    head = stream.read(HEAD_BYTES)
    stream.seek(spec.offset or 0)
    return check_head(head, size, spec)


def check_head(head: bytes, size: int, spec: Spec) -> Header:
    """What the first ``HEAD_BYTES`` bytes at the spec's offset, in a file of `size` bytes, say of what follows.

    Raises:
        AsitError: no matrix there, other content, or fewer bytes than the head promises.
    """
    start = spec.offset or 0
    if start >= size:
        raise AsitError(
            f"'{spec.text}': offset {start} is past the end of the file ({size} bytes): "
            "the archive is truncated or belongs to another scp; create it again"
        )
    if not head.startswith(b"\0B"):
        for magic, name in _FOREIGN.items():
            if head.startswith(magic):
                raise AsitError(f"'{spec.text}': expected a matrix, found {name}; write features with asit-make-fbank")
        if head.lstrip(b" \n\t").startswith(b"["):
            return Header("TEXT", 0, 0)
        raise AsitError(
            f"'{spec.text}': no matrix at byte {start}: the offset is wrong, or the archive changed after its "
            "scp was written; create both again"
        )
    header, needed = _binary_head(head, spec)
    kind, rows, columns = header.kind, header.rows, header.columns
    if rows <= 0 or columns <= 0:
        raise AsitError(f"'{spec.text}': expected a matrix with values, found shape {rows} x {columns}")
    if start + needed > size:
        raise AsitError(
            f"'{spec.text}': truncated archive: {rows} x {columns} {kind} needs {needed} bytes, "
            f"{size - start} are left; create it again"
        )
    return header


def read_text(stream: IO[bytes], spec: Spec) -> np.ndarray:
    """A text matrix ``[ … ]`` (rows on their own lines) or vector (one line) at the stream's position, float32.

    Raises:
        AsitError: no closing bracket, more than ``MOST_TEXT`` bytes, rows of different lengths, words that are no
            numbers.
    """
    pieces: list[bytes] = []
    while not pieces or b"]" not in pieces[-1]:
        chunk = stream.read(1 << 16)
        if not chunk:
            raise AsitError(f"'{spec.text}': truncated text archive: no closing ']'; create it again")
        if len(pieces) << 16 > MOST_TEXT:
            raise AsitError(
                f"'{spec.text}': no closing ']' within {MOST_TEXT} bytes; write large matrices in binary form"
            )
        pieces.append(chunk)
    body = b"".join(pieces)
    inside = body[body.index(b"[") + 1 : body.index(b"]")]
    lines = [line.split() for line in inside.split(b"\n") if line.strip()]
    try:
        array = np.array(lines, dtype=np.float32)
    except ValueError as error:
        raise AsitError(f"'{spec.text}': not a matrix in text form: {excerpt(error, 160)}") from None
    if array.size == 0:
        raise AsitError(f"'{spec.text}': expected a matrix with values, found an empty one")
    return array if b"\n" in inside else array[0]


def _range(word: str, text: str) -> tuple[int, int] | None:
    """``3:7`` -> (3, 7); ``:`` or nothing -> None (all)."""
    if word in ("", ":"):
        return None
    first, colon, last = word.partition(":")
    try:
        found = parse_count(first), parse_count(last)
    except ValueError:
        found = None
    if not colon or found is None or found[0] > found[1]:
        raise AsitError(f"'{excerpt(text)}': expected a range first:last with first <= last, found '{excerpt(word)}'")
    return found


def _binary_head(head: bytes, spec: Spec) -> tuple[Header, int]:
    """(header, bytes from the offset to the end of the matrix)."""
    token, _, rest = head[2:].partition(b" ")
    kind = token.decode("ascii", "replace")
    start = 2 + len(token) + 1
    four = four_too = 4
    columns, minimum, extent = 1, 0.0, 0.0
    try:
        if kind in ("FM", "DM"):
            four, rows, four_too, columns = struct.unpack_from("<bibi", rest)
            start += 10
        elif kind in ("FV", "DV"):
            four, rows = struct.unpack_from("<bi", rest)
            start += 5
        elif kind in ("CM", "CM2", "CM3"):
            minimum, extent, rows, columns = struct.unpack_from("<ffii", rest)
            start += 16
        else:
            raise AsitError(
                f"'{spec.text}': expected a matrix (FM, DM, CM, CM2, CM3) or vector (FV, DV), found {token[:8]!r}; "
                "the offset is wrong or the archive holds something else"
            )
    except struct.error:
        raise AsitError(f"'{spec.text}': truncated archive: it ends inside a matrix head; create it again") from None
    if (four, four_too) != (4, 4) or not math.isfinite(minimum) or not math.isfinite(extent):
        raise AsitError(f"'{spec.text}': corrupt matrix head at byte {spec.offset or 0}; create the archive again")
    size = rows * columns * VALUE_BYTES[kind] + (COLUMN_BYTES * columns if kind == "CM" else 0)
    return Header(kind, rows, columns, start, minimum, extent), start + size
