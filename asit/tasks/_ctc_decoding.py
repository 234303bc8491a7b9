"""From the probabilities of every time step to units. N steps, K units; index 0 is <blank>."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

BLANK = 0
LEAST = math.log(1e-4)  # units less probable than this at a step are not looked at, unless they are its best


def greedy(log_probs: np.ndarray) -> list[int]:
    """The best unit of each step of (N, K), repetitions and blanks removed.

    >>> greedy(np.log(np.array([[0.1, 0.9], [0.2, 0.8], [0.9, 0.1], [0.3, 0.7]])))
    [1, 1]
    """
    best = log_probs.argmax(axis=1)
    changed = np.diff(best, prepend=-1) != 0
    return best[changed & (best != BLANK)].tolist()


def prefix_beam(log_probs: np.ndarray, beam: int) -> list[int]:
    """The most probable sequence of units of (N, K) over all its alignments, as far as ``beam`` prefixes tell (Hannun
    et al. 2014, arXiv 1408.2873, algorithm 1, without a language model).
    """
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}  # ends in <blank>; in its last unit
    for row in log_probs:
        units = np.flatnonzero(row >= min(LEAST, row.max())).tolist()
        found: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        for prefix, (blank, unit) in beams.items():
            both = np.logaddexp(blank, unit)
            for k in units:
                p = float(row[k])
                if k == BLANK:
                    _add(found[prefix], 0, both + p)
                elif prefix and k == prefix[-1]:
                    _add(found[prefix], 1, unit + p)  # the same unit goes on
                    _add(found[(*prefix, k)], 1, blank + p)  # said twice: a blank was between
                else:
                    _add(found[(*prefix, k)], 1, both + p)
        best = sorted(found.items(), key=lambda item: (-np.logaddexp(*item[1]), item[0]))[:beam]
        beams = {prefix: (values[0], values[1]) for prefix, values in best}
    return list(max(beams, key=lambda prefix: np.logaddexp(*beams[prefix])))


def _add(values: list[float], which: int, log_prob: float) -> None:
    values[which] = float(np.logaddexp(values[which], log_prob))
