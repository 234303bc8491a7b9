"""Columns of large tables: two million ids and values in one buffer instead of as many Python strings.

A process that forks data-loading workers shares such a buffer with them: reading an item changes no reference count
in it. Two million lines of a ``feats.scp`` take the file's bytes and 48 bytes a line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from asit.errors import AsitError, excerpt
from asit.kaldi.table import read_table

_CHUNK = 1 << 16  # strings decoded or packed at a time
_WIDEST = 256  # bytes of a key that the fast reader compares


class Strings(Sequence[str]):
    """An immutable sequence of strings in one buffer."""

    def __init__(self, strings: Sequence[str]) -> None:
        encoded = [s.encode() for s in strings]
        self._bytes = b"".join(encoded)
        self._ends = np.cumsum([len(e) for e in encoded], dtype=np.int64)
        self._starts = self._ends - np.fromiter((len(e) for e in encoded), np.int64, len(encoded))

    @classmethod
    def of_buffer(cls, data: bytes, starts: np.ndarray, ends: np.ndarray) -> Strings:
        """The strings ``data[starts[i]:ends[i]]``, UTF-8; nothing is copied."""
        made = cls.__new__(cls)
        made._bytes, made._starts, made._ends = data, starts, ends
        return made

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._bytes[self._starts[index] : self._ends[index]].decode()

    def __iter__(self) -> Iterator[str]:
        data = self._bytes
        for first in range(0, len(self), _CHUNK):
            bounds = zip(
                self._starts[first : first + _CHUNK].tolist(), self._ends[first : first + _CHUNK].tolist(), strict=True
            )
            for start, end in bounds:
                yield data[start:end].decode()

    def take(self, indices: np.ndarray) -> Strings:
        """The strings at these places, of the same buffer."""
        return Strings.of_buffer(self._bytes, self._starts[indices], self._ends[indices])

    def lengths(self) -> np.ndarray:
        """Bytes of each string, int64."""
        return self._ends - self._starts

    def packed(self) -> np.ndarray:
        """All strings as one numpy array of bytes of fixed width (``S…``), which compares and sorts as C does."""
        width = max(1, int(self.lengths().max(initial=1)))
        out = np.zeros((len(self), width), dtype=np.uint8)
        data, column = np.frombuffer(self._bytes or b"\0", dtype=np.uint8), np.arange(width)
        for first in range(0, len(self), _CHUNK):
            starts, lengths = self._starts[first : first + _CHUNK], self.lengths()[first : first + _CHUNK]
            inside = column < lengths[:, None]
            places = np.minimum(starts[:, None] + column, len(data) - 1)
            out[first : first + _CHUNK] = np.where(inside, data[places], 0)
        return out.reshape(-1).view(f"S{width}")

    def equals(self, other: Strings) -> bool:
        """Whether both hold the same strings in the same order."""
        same_lengths = len(self) == len(other) and bool((self.lengths() == other.lengths()).all())
        return same_lengths and bool((self.packed() == other.packed()).all())

    def chunks(self, end: bytes) -> Iterator[bytes]:
        """The bytes of all strings, ``end`` behind each, in a few large pieces."""
        data = self._bytes
        for first in range(0, len(self), _CHUNK):
            starts, ends = self._starts[first : first + _CHUNK].tolist(), self._ends[first : first + _CHUNK].tolist()
            yield end.join([data[a:b] for a, b in zip(starts, ends, strict=True)]) + end


class Columns(NamedTuple):
    """A table: its keys and, at the same places, its values."""

    keys: Strings
    values: Strings


def read_columns(path: str | os.PathLike[str]) -> Columns:
    """A table as :func:`asit.kaldi.table.read_table` reads it, in two buffers instead of a dictionary.

    Raises:
        AsitError: as :func:`asit.kaldi.table.read_table`.
    """
    path = os.fspath(path)
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError:
        data = b""
    columns = _cut(data)
    if columns is None:  # something is wrong, or right in an unusual way: the thorough reader knows
        table = read_table(path)
        columns = Columns(Strings(list(table)), Strings(list(table.values())))
    return columns


def positive_integers(path: str, columns: Columns, what: str) -> np.ndarray:
    """The values as int64, each at least 1.

    Raises:
        AsitError: naming the first key whose value is another.
    """
    width = int(columns.values.lengths().max(initial=0))
    if width <= 18:
        packed = columns.values.packed()
        digits = packed.view(np.uint8).reshape(len(packed), -1)
        if bool((((digits >= 48) & (digits <= 57)) | (digits == 0)).all()):
            numbers = packed.astype(np.int64)
            if bool((numbers >= 1).all()):
                return numbers
    found = []
    for key, text in zip(columns.keys, columns.values, strict=True):
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
        if number < 1:
            raise AsitError(
                f"{path}: utterance {excerpt(key)}: expected a positive number of {what}, found '{excerpt(text)}'"
            )
        found.append(number)
    return np.array(found, dtype=np.int64)


def _cut(data: bytes) -> Columns | None:
    """Keys and values of a table that is plainly right: ASCII, "key value" lines, sorted, unique; else None."""
    if not data.endswith(b"\n") or not data.isascii():
        return None
    array = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(array == 10)
    if int(np.count_nonzero(array < 32)) != len(ends) or 127 in data:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    blanks = np.flatnonzero(array == 32)
    place = np.searchsorted(blanks, starts)
    if len(blanks) == 0 or place[-1] >= len(blanks):
        return None
    first = blanks[place]
    if not bool(((first > starts) & (first + 1 < ends)).all()):
        return None
    if (
        bool((array[first + 1] == 32).any())
        or bool((array[ends - 1] == 32).any())
        or bool((array[starts] == 126).any())
    ):
        return None
    keys = Strings.of_buffer(data, starts, first)
    if int(keys.lengths().max()) > _WIDEST:
        return None
    packed = keys.packed()
    if not bool((packed[1:] > packed[:-1]).all()):
        return None
    return Columns(keys, Strings.of_buffer(data, first + 1, ends))
