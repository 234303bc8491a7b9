"""Average precision and its macro mean (mAP), the metric of AudioSet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class MeanAveragePrecision(NamedTuple):
    """Macro mean over the classes with positives, and how many classes that leaves."""

    value: float
    classes_scored: int
    classes_without_positives: int


def average_precision(scores: np.ndarray, targets: np.ndarray) -> float:
    """Sum over distinct thresholds of precision times the gain in recall; nan without positives.

    Equal scores count as one threshold, so the order of ties does not matter.

    Args:
        scores: (n,) higher means more likely. targets: (n,) 0 or 1.

    >>> average_precision(np.array([0.9, 0.8, 0.1]), np.array([1, 0, 1]))
    0.8333333333333333
    """
    positives = float((targets > 0.5).sum())
    if positives == 0:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(targets[order] > 0.5)
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    hits, retrieved = hits[last_of_tie], np.flatnonzero(last_of_tie) + 1
    gain = np.diff(hits, prepend=0) / positives
    return float(np.sum(hits / retrieved * gain))


def mean_average_precision(scores: np.ndarray, targets: np.ndarray) -> MeanAveragePrecision:
    """mAP of (n, C) scores against (n, C) 0/1 targets; classes without positives are left out and counted."""
    values = np.array([average_precision(scores[:, c], targets[:, c]) for c in range(scores.shape[1])])
    scored = ~np.isnan(values)
    mean = float(values[scored].mean()) if scored.any() else float("nan")
    return MeanAveragePrecision(mean, int(scored.sum()), int((~scored).sum()))
