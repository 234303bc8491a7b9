"""Found events against those that are there, as sed_eval counts them (Mesaros et al. 2016): event by event within a
collar, and segment by segment.

Counts are int64 (K, 3) for K classes: right, false alarms, missed. Times are in seconds, (n, 2) start and end of n
events, classes their indices (n,).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asit.config import Options, option

LENGTH_SHARE = 0.2  # of an event by which its end may be off, where that is more than the collar (DCASE)
RIGHT, FALSE_ALARM, MISSED = range(3)
_TINY = 1e-6  # seconds: times are decimal fractions, and 0.3 / 0.1 is a little less than 3


@dataclass(frozen=True)
class ScoringSettings(Options):
    """When a found event is right."""

    collar: float = option(0.2, "seconds by which the start and end of a found event may be off", above=0)
    segment: float = option(1.0, "seconds of a segment of segment_f1", above=0)


def by_event(
    times: np.ndarray,
    classes: np.ndarray,
    found: np.ndarray,
    found_classes: np.ndarray,
    collar: float,
    num: int,
    ends: bool,
) -> np.ndarray:
    """Counts (num, 3) of the largest matching of found events to those that are there, by mir_eval: the classes are
    equal, the starts ``collar`` apart or less, and, with ``ends``, the ends too, or LENGTH_SHARE of the event.

    >>> times, found = np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([[0.1, 1.1], [2.0, 2.5]])
    >>> by_event(times, np.array([0, 1]), found, np.array([0, 1]), 0.2, 2, True).tolist()
    [[1, 0, 0], [0, 1, 1]]
    """
    right = np.zeros(num, dtype=np.int64)
    if len(times) and len(found):
        from mir_eval.transcription import match_notes  # slow to import

        pairs = match_notes(
            times,
            _pitches(classes),
            found,
            _pitches(found_classes),
            onset_tolerance=collar,
            offset_ratio=LENGTH_SHARE if ends else None,
            offset_min_tolerance=collar,
        )
        right = np.bincount(classes[[i for i, _ in pairs]], minlength=num) if pairs else right
    there, said = np.bincount(classes, minlength=num), np.bincount(found_classes, minlength=num)
    return np.stack([right, said - right, there - right], axis=1)


def by_segment(
    times: np.ndarray, classes: np.ndarray, found: np.ndarray, found_classes: np.ndarray, segment: float, num: int
) -> np.ndarray:
    """Counts (num, 3) of the segments of ``segment`` seconds, from 0, that an event of a class touches.

    >>> times, found = np.array([[0.0, 2.0]]), np.array([[0.5, 3.1]])
    >>> by_segment(times, np.array([0]), found, np.array([0]), 1.0, 1).tolist()
    [[2, 2, 0]]
    """
    count = int(np.ceil(max(times.max(initial=0.0), found.max(initial=0.0)) / segment)) + 1
    there, said = (_active(t, c, segment, count, num) for t, c in ((times, classes), (found, found_classes)))
    return np.stack([(there & said).sum(axis=1), (said & ~there).sum(axis=1), (there & ~said).sum(axis=1)], axis=1)


def f1_parts(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What F1 is the ratio of, of counts (..., 3): twice what is right, and what is there and is found together."""
    return 2 * counts[..., RIGHT], 2 * counts[..., RIGHT] + counts[..., FALSE_ALARM] + counts[..., MISSED]


def f1(counts: np.ndarray) -> float:
    """F1 of all counts (..., 3) together; nan where nothing is there and nothing is found."""
    above, below = (part.sum() for part in f1_parts(counts))
    return float(above / below) if below else float("nan")


def _pitches(classes: np.ndarray) -> np.ndarray:
    """Hz: for mir_eval an event is a note, and notes are equal to half a semitone; a class is a semitone."""
    return 2.0 ** (classes / 12)


def _active(times: np.ndarray, classes: np.ndarray, segment: float, count: int, num: int) -> np.ndarray:
    """Bool (num, count)."""
    active = np.zeros((num, count), dtype=bool)
    firsts = np.floor((times[:, 0] + _TINY) / segment).astype(int)
    ends = np.ceil((times[:, 1] - _TINY) / segment).astype(int)
    for label, first, end in zip(classes, firsts, ends, strict=True):
        active[label, first:end] = True
    return active
