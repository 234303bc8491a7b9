"""Accuracy of single-label decisions, its per-class and balanced forms, and the confusion matrix."""

from __future__ import annotations

import numpy as np


def confusion_matrix(predicted: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes) int64: row = reference, column = hypothesis.

    Args:
        predicted, targets: class indices (n,), integers in [0, classes).

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    counts = np.bincount(targets.astype(np.int64) * classes + predicted.astype(np.int64), minlength=classes * classes)
    return counts.reshape(classes, classes)


def accuracy(confusion: np.ndarray) -> float:
    """Share of the clips that lie on the diagonal; nan without clips."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


def per_class_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Recall of each class, float64 (classes,); nan for a class without clips."""
    totals = confusion.sum(axis=1)
    return np.where(totals > 0, np.diag(confusion) / np.maximum(totals, 1), np.nan)


def balanced_accuracy(confusion: np.ndarray) -> float:
    """Mean recall over the classes that have clips; nan without clips."""
    recalls = per_class_accuracy(confusion)
    present = ~np.isnan(recalls)
    return float(recalls[present].mean()) if present.any() else float("nan")
