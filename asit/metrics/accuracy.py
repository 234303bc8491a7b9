"""Accuracy of single-label decisions of each class, and which classes are taken for which.

``predicted`` and ``targets`` are class indices (n,), integers in [0, classes). Nothing here is of size classes^2: with
the 6,000 speakers of VoxCeleb2 that would be 36 million counts for some thousand clips.
"""

from __future__ import annotations

import numpy as np

from asit.metrics.metric import Metric

ACCURACY = Metric("accuracy", "%", "higher")


def confusion_pairs(predicted: np.ndarray, targets: np.ndarray, classes: int) -> tuple[np.ndarray, ...]:
    """(reference, hypothesis, clips): the pairs of classes that occur and how often, int64 each, ordered by class.

    >>> [a.tolist() for a in confusion_pairs(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)]
    [[0, 0, 1], [0, 1, 1], [1, 1, 1]]
    """
    cells, clips = np.unique(targets.astype(np.int64) * classes + predicted.astype(np.int64), return_counts=True)
    return cells // classes, cells % classes, clips


def recalls(predicted: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """Share of each class's clips that were found, float64 (classes,); nan for a class without clips.

    >>> recalls(np.array([0, 1, 1]), np.array([0, 0, 1]), 3).tolist()
    [0.5, 1.0, nan]
    """
    from sklearn.metrics import recall_score  # slow to import

    return recall_score(targets, predicted, labels=np.arange(classes), average=None, zero_division=np.nan)
