"""Confidence intervals of what is counted utterance by utterance."""

from __future__ import annotations

import numpy as np

RESAMPLES = 2000


def ratio_interval(above: np.ndarray, below: np.ndarray) -> tuple[float, float]:
    """95 % interval of sum(above) / sum(below), (n,) each: percentiles over resamples of the utterances (Bisani and Ney
    2004), with a fixed seed. nan for a single utterance, or where nothing is counted."""
    if len(above) < 2 or not below.any():
        return float("nan"), float("nan")
    from scipy.stats import bootstrap  # slow to import

    with np.errstate(invalid="ignore"):
        result = bootstrap(
            (above, below),
            lambda a, b, axis: a.sum(axis=axis) / b.sum(axis=axis),
            paired=True,
            vectorized=True,
            n_resamples=RESAMPLES,
            method="percentile",
            rng=np.random.default_rng(0),
            batch=100,
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
