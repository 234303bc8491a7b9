"""From the probabilities of every time step to units. N steps, K units; index 0 is <blank>."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from asit.tasks.ngram import BEGIN, END, NGram

BLANK = 0
LEAST = math.log(1e-4)  # units less probable than this at a step are not looked at, unless they are its best


class Fusion(NamedTuple):
    """A language model beside the network: a prefix is worth log p + weight * log p by the n-grams + bonus * units."""

    ngrams: NGram
    weight: float
    bonus: float

    def context(self, before: tuple[int, ...], unit: int) -> tuple[int, ...]:
        """What the n-grams look at after a further unit."""
        return (*before, unit)[-max(1, self.ngrams.order - 1) :]

    def gain(self, context: tuple[int, ...], unit: int) -> float:
        """What a further unit adds."""
        return self.weight * self.ngrams.log_prob(context, unit) + self.bonus * (unit != END)


def greedy(log_probs: np.ndarray) -> list[int]:
    """The best unit of each step of (N, K), repetitions and blanks removed.

    >>> greedy(np.log(np.array([[0.1, 0.9], [0.2, 0.8], [0.9, 0.1], [0.3, 0.7]])))
    [1, 1]
    """
    best = log_probs.argmax(axis=1)
    changed = np.diff(best, prepend=-1) != 0
    return best[changed & (best != BLANK)].tolist()


class _Prefixes:
    """The prefixes that were kept, each as a number: the one before it and its last unit, so that a step costs the same
    after an hour as after a second. Number 0 is the empty one."""

    def __init__(self, fusion: Fusion | None) -> None:
        self.fusion = fusion
        self.before, self.last, self.worth = [0], [BLANK], [0.0]  # worth: by the language model
        self.contexts: list[tuple[int, ...]] = [(BEGIN,)]
        self.longer: dict[tuple[int, int], int] = {}

    def gain(self, prefix: int, unit: int) -> float:
        """What the language model adds for a further unit."""
        return self.fusion.gain(self.contexts[prefix], unit) if self.fusion else 0.0

    def extended(self, prefix: int, unit: int) -> int:
        """The number of the prefix with a further unit."""
        found = self.longer.setdefault((prefix, unit), len(self.last))
        if found == len(self.last):
            self.before.append(prefix)
            self.last.append(unit)
            self.worth.append(self.worth[prefix] + self.gain(prefix, unit))
            self.contexts.append(self.fusion.context(self.contexts[prefix], unit) if self.fusion else ())
        return found

    def units(self, prefix: int) -> list[int]:
        """The units of a prefix."""
        found = []
        while prefix:
            found.append(self.last[prefix])
            prefix = self.before[prefix]
        return found[::-1]


def prefix_beam(log_probs: np.ndarray, beam: int, fusion: Fusion | None = None) -> list[int]:
    """The best sequence of units of (N, K) over all its alignments, as far as ``beam`` prefixes tell (Hannun et al.
    2014, arXiv 1408.2873, algorithm 1): the most probable one, or the one that is worth most with a language model.
    """
    prefixes = _Prefixes(fusion)
    beams: dict[int, tuple[float, float]] = {0: (0.0, -math.inf)}  # ends in <blank>; in its last unit
    for row in log_probs:
        units = np.flatnonzero(row >= min(LEAST, row.max())).tolist()
        stay: dict[int, list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        grow: dict[tuple[int, int], float] = defaultdict(lambda: -math.inf)
        for prefix, (blank, unit) in beams.items():
            both, last = _sum(blank, unit), prefixes.last[prefix]
            for k in units:
                p = float(row[k])
                if k == BLANK:
                    stay[prefix][0] = _sum(stay[prefix][0], both + p)
                elif k == last:
                    stay[prefix][1] = _sum(stay[prefix][1], unit + p)  # the same unit goes on
                    grow[prefix, k] = _sum(grow[prefix, k], blank + p)  # said twice: a blank was between
                else:
                    grow[prefix, k] = _sum(grow[prefix, k], both + p)
        for (prefix, k), value in list(grow.items()):
            longer = prefixes.longer.get((prefix, k))
            if longer in beams:
                stay[longer][1] = _sum(stay[longer][1], value)
                del grow[prefix, k]
        found = [(_sum(*values) + prefixes.worth[prefix], prefix, None) for prefix, values in stay.items()]
        found += [(value + prefixes.worth[at[0]] + prefixes.gain(*at), *at) for at, value in grow.items()]
        found.sort(key=lambda item: -item[0])
        beams = {
            prefix if k is None else prefixes.extended(prefix, k): (
                (stay[prefix][0], stay[prefix][1]) if k is None else (-math.inf, grow[prefix, k])
            )
            for _, prefix, k in found[:beam]
        }
    best = max(beams, key=lambda prefix: _sum(*beams[prefix]) + prefixes.worth[prefix] + prefixes.gain(prefix, END))
    return prefixes.units(best)


def _sum(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    return a if b == -math.inf else a + math.log1p(math.exp(b - a))
