"""Columns of large tables: two million ids and values in one buffer instead of as many Python strings.

A process that forks data-loading workers shares such a buffer with them: reading an item changes no reference count
in it. Two million lines of a ``feats.scp`` take the file's bytes and 48 bytes a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

_CHUNK = 1 << 16  # strings decoded or packed at a time


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
        """The bytes of all strings, ``end`` after each, in a few large pieces."""
        data = self._bytes
        for first in range(0, len(self), _CHUNK):
            starts, ends = self._starts[first : first + _CHUNK].tolist(), self._ends[first : first + _CHUNK].tolist()
            yield end.join([data[a:b] for a, b in zip(starts, ends, strict=True)]) + end
