"""Accuracy of single-label decisions, its per-class and balanced forms, and which classes are taken for which.

``predicted`` and ``targets`` are class indices (n,), integers in [0, classes). Nothing here is of size classes^2: with
the 6,000 speakers of VoxCeleb2 that would be 36 million counts for some thousand clips.
"""

from __future__ import annotations

import numpy as np


def confusion_pairs(predicted: np.ndarray, targets: np.ndarray, classes: int) -> tuple[np.ndarray, ...]:
    """(reference, hypothesis, clips): the pairs of classes that occur and how often, int64 each, ordered by class.

    >>> [a.tolist() for a in confusion_pairs(np.array([0, 1, 1]), np.array([0, 0, 1]), 2)]
    [[0, 0, 1], [0, 1, 1], [1, 1, 1]]
    """
    cells, clips = np.unique(targets.astype(np.int64) * classes + predicted.astype(np.int64), return_counts=True)
    return cells // classes, cells % classes, clips


def accuracy(predicted: np.ndarray, targets: np.ndarray) -> float:
    """Share of the clips whose class was found; nan without clips."""
    return float((predicted == targets).sum() / len(targets)) if len(targets) else float("nan")


def per_class_accuracy(predicted: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """Recall of each class, float64 (classes,); nan for a class without clips."""
    totals = np.bincount(targets, minlength=classes)
    right = np.bincount(targets[predicted == targets], minlength=classes)
    return np.where(totals > 0, right / np.maximum(totals, 1), np.nan)


def balanced_accuracy(predicted: np.ndarray, targets: np.ndarray, classes: int) -> float:
    """Mean recall over the classes that have clips; nan without clips."""
    recalls = per_class_accuracy(predicted, targets, classes)
    present = ~np.isnan(recalls)
    return float(recalls[present].mean()) if present.any() else float("nan")
