"""How well scores rank the clips of each class: average precision (AudioSet's mAP), area under the ROC curve, d'.

``scores`` are (n, C), higher means more likely; ``targets`` (n, C) of 0 and 1. What cannot be defined is nan.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri


def average_precisions(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Average precision of each class, float64 (C,); nan for a class without positives.

    >>> average_precisions(np.array([[0.9, 0.5], [0.8, 0.5], [0.1, 0.5]]), np.array([[1, 0], [0, 0], [1, 0]])).tolist()
    [0.8333333333333333, nan]
    """
    from sklearn.metrics import average_precision_score  # slow to import

    columns = zip(scores.T, targets.T, strict=True)
    return np.array([average_precision_score(wanted, score) if wanted.any() else np.nan for score, wanted in columns])


def areas(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each class, float64 (C,): the probability that a positive outranks a negative, ties
    counting half; nan unless a class has both.

    >>> areas(np.array([[0.1, 0.1], [0.4, 0.4], [0.35, 0.2]]), np.array([[0, 1], [0, 1], [1, 1]])).tolist()
    [0.5, nan]
    """
    from sklearn.metrics import roc_auc_score  # slow to import

    columns = zip(scores.T, targets.T, strict=True)
    return np.array([roc_auc_score(t, score) if 0 < t.sum() < len(t) else np.nan for score, t in columns])


def dprime(area: float) -> float:
    """d' = sqrt(2) * inverse normal distribution of the AUC, the distance of two normal densities of variance 1 with
    that area; infinite at 1.

    >>> round(dprime(0.9), 4)
    1.8124
    """
    return float(np.sqrt(2.0) * ndtri(area))


def mean_defined(values: np.ndarray) -> float:
    """Mean of the values that are not nan; nan when there is none.

    >>> mean_defined(np.array([1.0, np.nan, 2.0])), mean_defined(np.array([np.nan]))
    (1.5, nan)
    """
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
