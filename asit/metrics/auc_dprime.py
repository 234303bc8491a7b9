"""Area under the ROC curve and d', its equivalent distance between two unit-variance normal densities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri


class AucDprime(NamedTuple):
    """Macro AUC, the d' of that mean, and how many classes could be scored."""

    auc: float
    dprime: float
    classes_scored: int
    classes_excluded: int


def auc(scores: np.ndarray, targets: np.ndarray) -> float:
    """Probability that a positive outranks a negative (ties count half); nan unless both kinds are present.

    Args:
        scores: (n,) higher means more likely. targets: (n,) 0 or 1.

    >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
    0.75
    """
    positive = targets > 0.5
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if n_pos == 0 or n_neg == 0:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2.0  # rank from 1, ties share their mean
    rank_sum = mean_rank[inverse.reshape(-1)][positive].sum()
    return float((rank_sum - n_pos * (n_pos + 1) / 2.0) / (n_pos * n_neg))


def dprime(area: float) -> float:
    """d' = sqrt(2) * inverse normal distribution of the AUC; infinite at 1.

    >>> round(dprime(0.9), 4)
    1.8124
    """
    return float(np.sqrt(2.0) * ndtri(area))


def mean_auc_dprime(scores: np.ndarray, targets: np.ndarray) -> AucDprime:
    """Macro AUC of (n, C) scores and the d' of that mean; classes that lack positives or negatives are left out."""
    values = np.array([auc(scores[:, c], targets[:, c]) for c in range(scores.shape[1])])
    scored = ~np.isnan(values)
    mean = float(values[scored].mean()) if scored.any() else float("nan")
    return AucDprime(mean, dprime(mean), int(scored.sum()), int((~scored).sum()))
