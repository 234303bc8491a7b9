"""Equal error rate and minimum detection cost of a verification system."""

from __future__ import annotations

import numpy as np


def error_rates(scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(miss rates, false-alarm rates) at every distinct threshold, from "accept nothing" to "accept all".

    Args:
        scores: (n,) higher means more likely a target trial. targets: (n,) 0 or 1, both present.

    Raises:
        ValueError: no target or no non-target trial.
    """
    positive = targets > 0.5
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if n_pos == 0 or n_neg == 0:
        raise ValueError(f"expected target and non-target trials, found {n_pos} and {n_neg}")
    from sklearn.metrics import roc_curve  # slow to import

    alarms, hits, _ = roc_curve(positive, scores, drop_intermediate=False)
    return 1.0 - hits, alarms


def eer(scores: np.ndarray, targets: np.ndarray) -> float:
    """The rate at which misses equal false alarms, on the line between neighbouring thresholds.

    >>> eer(np.array([0.9, 0.4, 0.6, 0.1]), np.array([1, 1, 0, 0]))
    0.5
    """
    miss, alarm = error_rates(scores, targets)
    gap = miss - alarm  # 1 at the first threshold, -1 at the last
    after = int(np.argmax(gap <= 0))
    before = after - 1
    share = gap[before] / (gap[before] - gap[after])
    return float(alarm[before] + share * (alarm[after] - alarm[before]))


def min_dcf(
    scores: np.ndarray, targets: np.ndarray, p_target: float = 0.01, c_miss: float = 1.0, c_false_alarm: float = 1.0
) -> float:
    """Smallest detection cost over all thresholds, divided by that of the better blind decision (NIST SRE).

    >>> min_dcf(np.array([0.9, 0.8, 0.2, 0.1]), np.array([1, 1, 0, 0]))
    0.0
    """
    miss, alarm = error_rates(scores, targets)
    cost = c_miss * p_target * miss + c_false_alarm * (1.0 - p_target) * alarm
    return float(cost.min() / min(c_miss * p_target, c_false_alarm * (1.0 - p_target)))
