"""Which classes are taken for which: ``confusion.csv`` and ``confusion.png``, in a size that a person can read.

Up to ``MATRIX_UP_TO`` classes both show the whole matrix. Beyond, where a matrix has millions of cells and nearly all
are empty, both list the pairs of classes that are confused most often; every clip's decision is in ``predictions``.
"""

from __future__ import annotations

import csv
import logging
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asit.io import atomic
from asit.metrics.accuracy import ACCURACY
from asit.runs import pictures

log = logging.getLogger(__name__)
MATRIX_UP_TO = 200  # classes
MOST_PAIRS = 1000  # in confusion.csv beyond that; the picture shows the first of them
Pairs = tuple[np.ndarray, ...]  # reference, hypothesis, clips


def matrix(pairs: Pairs, classes: int) -> np.ndarray:
    """Counts (classes, classes) int64: row = reference, column = hypothesis."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    counts[pairs[0], pairs[1]] = pairs[2]
    return counts


def most_confused(pairs: Pairs, labels: Sequence[str]) -> list[tuple[str, str, int, int]]:
    """(reference, hypothesis, clips, clips of the reference) of wrong decisions, the most frequent first."""
    reference, hypothesis, clips = pairs
    totals = np.bincount(reference, weights=clips, minlength=len(labels))
    wrong = np.flatnonzero(reference != hypothesis)
    order = wrong[np.argsort(-clips[wrong], kind="stable")][:MOST_PAIRS]
    return [(labels[reference[i]], labels[hypothesis[i]], int(clips[i]), int(totals[reference[i]])) for i in order]


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file, whole or not at all."""
    with atomic.atomic_open(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)


def write_table(path: Path, pairs: Pairs, labels: Sequence[str]) -> None:
    """``confusion.csv``."""
    if len(labels) > MATRIX_UP_TO:
        write_csv(path, ["reference", "hypothesis", "clips", "clips_of_reference"], most_confused(pairs, labels))
        return
    rows = [[label, *row] for label, row in zip(labels, matrix(pairs, len(labels)).tolist(), strict=True)]
    write_csv(path, ["reference", *labels], rows)


def draw(path: Path, pairs: Pairs, labels: Sequence[str]) -> None:
    """``confusion.png``. A picture that cannot be drawn is a warning: no score is lost to it, and no old one stays."""
    reference, hypothesis, clips = pairs
    share = clips[reference == hypothesis].sum() / max(clips.sum(), 1)
    title = f"{clips.sum()} clips, accuracy {ACCURACY.text(share)}"
    try:
        atomic.remove(str(path))
        with warnings.catch_warnings():
            # Of characters that the font has not, and of names too long for the margin: the picture shows both.
            warnings.simplefilter("ignore", UserWarning)
            if len(labels) > MATRIX_UP_TO:
                pictures.save_pairs(str(path), most_confused(pairs, labels), title)
            else:
                pictures.save_confusion(str(path), matrix(pairs, len(labels)), labels, title)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        log.warning("%s: not drawn (%s: %s); the scores are complete without it", path, type(error).__name__, reason)
