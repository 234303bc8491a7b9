"""Targets of clips with several labels, without their zeros. Letter: C classes.

Two million clips of AudioSet with 527 classes would be 4.3 GB of float32; the indices of their labels are 16 MB.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class MultiHot:
    """Rows of 0 and 1 kept as the indices of the ones; a row is made when it is asked for.

    Args:
        indices: int32, the classes of all clips, clip after clip. ends: int64 (clips,), where each clip's end.
        classes: C.
    """

    def __init__(self, indices: np.ndarray, ends: np.ndarray, classes: int) -> None:
        self.indices, self.ends, self.classes = indices.astype(np.int32), ends.astype(np.int64), classes

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[int]], classes: int) -> MultiHot:
        """From the class indices of each clip.

        >>> MultiHot.of_rows([[0, 2], [], [1]], classes=3).dense().tolist()
        [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
        """
        lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        indices = np.fromiter((i for row in rows for i in row), np.int32, int(lengths.sum()))
        return cls(indices, np.cumsum(lengths), classes)

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, clip: int) -> np.ndarray:
        """Targets (C,) float32 of a clip."""
        row = np.zeros(self.classes, dtype=np.float32)
        start = int(self.ends[clip - 1]) if clip % len(self) else 0
        row[self.indices[start : self.ends[clip]]] = 1.0
        return row

    def counts(self) -> np.ndarray:
        """Clips of each class, int64 (C,)."""
        return np.bincount(self.indices, minlength=self.classes)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """For each clip the sum of its classes' values: float64 (clips,) of (C,)."""
        clip = np.repeat(np.arange(len(self)), np.diff(self.ends, prepend=0))
        return np.bincount(clip, weights=values[self.indices], minlength=len(self))

    def dense(self) -> np.ndarray:
        """All rows, float32 (clips, C)."""
        rows = np.zeros((len(self), self.classes), dtype=np.float32)
        rows[np.repeat(np.arange(len(self)), np.diff(self.ends, prepend=0)), self.indices] = 1.0
        return rows
