"""Kaldi's matrix layouts: some rows of a stored matrix, without reading the others, and matrices to bytes.

Source: Kaldi ``src/matrix/kaldi-matrix.cc`` (FM, DM), ``src/matrix/compressed-matrix.cc`` (CM, CM2, CM3). The
arithmetic is Kaldi's, float for float, so that values and bytes are the ones its programs read and write.

FM, DM, CM2 and CM3 lie row by row: a crop is one piece of the file. CM lies column by column behind a table of four
percentiles of each column: a crop is one piece of each column.
"""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Callable

import numpy as np

from asit.errors import AsitError
from asit.kaldi.ark_spec import COLUMN_BYTES, Header

# Columns of a CM crop are read with the bytes between them up to this size, as one piece: below it the many system
# calls cost more than the bytes.
ONE_PIECE = 2 << 20
_ROWS_AT_A_TIME = 128  # of CM: their look-ups stay in the cache
_HALF_OF_KALDI = np.nextafter(np.float32(0.501), np.float32(1))  # least float32 that 0.499 lifts to 1
Fill = Callable[[np.ndarray, int], None]  # fills a contiguous array with the bytes at an offset behind the head

_STORED = {"FM": "<f4", "DM": "<f8", "FV": "<f4", "DV": "<f8", "CM2": "<u2", "CM3": "u1"}
_STEPS = {"CM2": 65535, "CM3": 255}
_UINT16 = np.float32(1.52590218966964e-05)  # Kaldi's 1/65535
_LOW = np.arange(65, dtype=np.float32) / 64
_MIDDLE = np.arange(1, 129, dtype=np.float32) / 128
_HIGH = np.arange(1, 64, dtype=np.float32)


def decode(fill: Fill, head: Header, rows: slice, columns: slice) -> np.ndarray:
    """The values of a range of rows and columns, float32, contiguous. A vector has rows and one column.

    `rows` and `columns` lie inside the matrix and have a step of 1.
    """
    r0, r1, c0, c1 = rows.start, rows.stop, columns.start, columns.stop
    if head.kind == "CM":
        return _decode_columns(fill, head, (r0, r1, c0, c1))
    kind, shape, whole = head.kind, (r1 - r0, head.columns), c1 - c0 == head.columns
    is_result = whole and kind in ("FM", "FV")
    stored = np.empty(shape, _STORED[kind]) if is_result else _scratch.array("stored", shape, _STORED[kind])
    fill(stored, r0 * head.columns * stored.itemsize)
    if is_result:
        return stored.astype(np.float32, copy=False)
    if not whole:
        stored = stored[:, c0:c1]
    if kind not in _STEPS:
        return np.array(stored, dtype=np.float32, order="C")
    # Kaldi's constant 1/255 or 1/65535 is a double, the product is stored as a float.
    values = np.empty(stored.shape, np.float32)
    np.multiply(stored, np.float32(head.extent * (1.0 / _STEPS[kind])), out=values)
    values += np.float32(head.minimum)
    return values


def encode(array: np.ndarray, method: int = 0) -> tuple[bytes, np.ndarray]:
    """(head, values to write behind it) of a float32 matrix (T, F) or vector (D,), in Kaldi's compression `method`.

    Raises:
        AsitError: a range of values that float32 does not hold.
    """
    if method == 0:
        sizes = b"".join(struct.pack("<bi", 4, n) for n in array.shape)
        return (b"\0BFV " if array.ndim == 1 else b"\0BFM ") + sizes, array
    if method == 1:
        method = 2 if len(array) > 8 else 3
    kind = {2: "CM", 3: "CM2", 4: "CM2"}.get(method, "CM3")
    minimum, extent = _range(array) if method in (2, 3, 5) else _RANGES[method]
    head = f"\0B{kind} ".encode() + struct.pack("<ffii", minimum, extent, *array.shape)
    if kind == "CM":
        percentiles, values = _encode_columns(array, minimum, extent)
        return head + percentiles.tobytes(), values
    return head, _quantise(array, minimum, extent, kind)


# --- internals -------------------------------------------------------------------------------------

_RANGES = {4: (-32768.0, 65535.0), 6: (0.0, 255.0), 7: (0.0, 1.0)}  # method -> least value, range


def _decode_columns(fill: Fill, head: Header, box: tuple[int, int, int, int]) -> np.ndarray:
    """Of CM: a table of 256 values for each column, and one look-up for each byte."""
    r0, r1, c0, c1 = box
    percentiles = np.empty((c1 - c0, 4), "<u2")
    fill(percentiles, COLUMN_BYTES * c0)
    tables = _tables(percentiles, head.minimum, head.extent)
    rows, count = r1 - r0, c1 - c0
    first = COLUMN_BYTES * head.columns + c0 * head.rows + r0
    span = (count - 1) * head.rows + rows
    if span <= ONE_PIECE:
        piece = _scratch.array("stored", (span,), "u1")
        fill(piece, first)
        by_row = np.ndarray((rows, count), np.uint8, piece, strides=(1, head.rows))
    else:
        by_column = _scratch.array("stored", (count, rows), "u1")
        for column in range(count):
            fill(by_column[column], first + column * head.rows)
        by_row = by_column.T
    values = np.empty((rows, count), np.float32)
    table_starts = 256 * np.arange(count)
    for start in range(0, rows, _ROWS_AT_A_TIME):
        some = by_row[start : start + _ROWS_AT_A_TIME]
        index = _scratch.array("index", some.shape, "intp")
        index[:] = some
        index += table_starts
        tables.ravel().take(index, out=values[start : start + _ROWS_AT_A_TIME], mode="wrap")  # not checked
    return values


class _Scratch(threading.local):
    """Arrays that a thread uses again and again: fresh ones of this size are pages that the kernel maps and clears
    each time, which takes longer than decoding."""

    MOST = 8 << 20  # bytes; larger ones are rare, and not kept

    def __init__(self) -> None:
        self.kept: dict[str, np.ndarray] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """An array of any content, valid until this thread asks for the same name again."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size > self.MOST:
            return np.empty(shape, dtype)
        buffer = self.kept.get(name)
        if buffer is None or buffer.nbytes < size:
            buffer = self.kept[name] = np.empty(size, np.uint8)
        return np.ndarray(shape, dtype, buffer)


_scratch = _Scratch()


def _tables(percentiles: np.ndarray, minimum: float, extent: float) -> np.ndarray:
    """Value of each byte in each column, float32 (F, 256), valid until the next call: linear between the percentiles
    0, 25, 75 and 100, which the bytes 0, 64, 192 and 255 stand for. Only the last part is not exact in float32; Kaldi
    takes doubles."""
    p = _percentile_values(percentiles, minimum, extent)
    width = np.diff(p, axis=1)
    tables = _scratch.array("tables", (len(p), 256), "f4")
    low, middle = tables[:, :65], tables[:, 65:193]
    np.multiply(width[:, 0:1], _LOW, out=low)  # the bytes are scaled by powers of two, which is exact
    low += p[:, 0:1]
    np.multiply(width[:, 1:2], _MIDDLE, out=middle)
    middle += p[:, 1:2]
    high = np.multiply(width[:, 2:3] * _HIGH, 1 / 63.0, dtype=np.float64)
    high += p[:, 2:3]
    tables[:, 193:] = high
    return tables


def _percentile_values(percentiles: np.ndarray, minimum: float, extent: float) -> np.ndarray:
    return np.float32(minimum) + np.float32(extent) * _UINT16 * percentiles.astype(np.float32)


def _range(array: np.ndarray) -> tuple[float, float]:
    """Least value and range, above zero, as float32 numbers."""
    least, most = float(array.min()), float(array.max())
    if least == most:
        most = float(np.float32(least + (1.0 + abs(least))))
    with np.errstate(over="ignore"):
        extent = float(np.float32(most) - np.float32(least))
    if not 0 < extent < np.inf:
        raise AsitError(f"values from {least:g} to {most:g} cannot be compressed; use compression 0")
    return least, extent


def _quantise(array: np.ndarray, minimum: float, extent: float, kind: str) -> np.ndarray:
    """Whole numbers 0...255 or 0...65535, contiguous, in the type they are stored in."""
    scaled = np.subtract(array, np.float32(minimum), order="C")
    scaled /= np.float32(extent)
    np.clip(scaled, 0, 1, out=scaled)
    scaled *= np.float32(_STEPS[kind])
    return _whole(scaled, _HALF_OF_KALDI, _STORED[kind])


def _whole(values: np.ndarray, least: np.float32, kind: str) -> np.ndarray:
    """The whole parts of non-negative float32 `values`, plus one where the fraction is `least` or more; `values` is
    overwritten. Kaldi adds 0.499 or 0.5 as a double and cuts the fraction off, which float32 would round up at
    times; the fraction of a float32 value is exact."""
    floor = np.floor(values)
    whole = floor.astype(kind)
    values -= floor
    whole += values >= least
    return whole


def _encode_columns(array: np.ndarray, minimum: float, extent: float) -> tuple[np.ndarray, np.ndarray]:
    """(percentiles uint16 (F, 4), bytes (F, T)) of CM."""
    columns = np.array(array.T, order="C")
    rows = columns.shape[1]
    quarter = rows // 4
    places = [0, quarter, 3 * quarter, rows - 1] if rows >= 5 else list(range(rows))
    p = np.zeros((len(columns), 4), np.int64)
    p[:, : len(places)] = _quantise(np.sort(columns, axis=1)[:, places], minimum, extent, "CM2")
    p[:, 0] = np.minimum(p[:, 0], 65532)  # the four strictly increase, so that no division is by zero
    for i, most in ((1, 65533), (2, 65534), (3, 65535)):
        p[:, i] = np.minimum(np.maximum(p[:, i], p[:, i - 1] + 1), most)
    percentiles = p.astype("<u2")
    values = _percentile_values(percentiles, minimum, extent)
    width = np.diff(values, axis=1)
    flat = width == 0  # percentiles that float32 does not tell apart
    width[flat] = 1
    coded = np.zeros(columns.shape, np.uint8)
    part = np.empty_like(columns)
    for i, steps in enumerate((64, 128, 63)):  # a value in one of the three parts fills those below, and none above
        np.subtract(columns, values[:, i : i + 1], out=part)
        part /= width[:, i : i + 1]
        part *= np.float32(steps)
        np.clip(part, 0, steps, out=part)
        if i < 2 and flat[:, i].any():
            part[flat[:, i]] = steps * (columns[flat[:, i]] >= values[flat[:, i], i + 1, None])
        coded += _whole(part, np.float32(0.5), "u1")
    return percentiles, coded
