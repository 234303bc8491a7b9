"""Confusion as a picture: the matrix from 2 to some hundred classes, and of more the pairs confused most often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asit.features.picture import new_figure, save

NUMBERS_UP_TO = 40  # classes; beyond, the cells are too small for their counts
NAMES_UP_TO = 120
PAIRS = 40
LETTERS = 40  # of a class name; a longer one would leave no room for what it names
PLAIN = {"parse_math": False}  # in a name, $ is a dollar sign and not the beginning of a formula


def save_confusion(path: str, confusion: np.ndarray, labels: Sequence[str], title: str) -> None:
    """Draw ``confusion`` (C, C), row = reference, as a PNG: shade = share of the row, number = clips."""
    classes = len(labels)
    side = float(np.clip(2.5 + 0.32 * classes, 4.5, 24.0))
    figure = new_figure(side + 1.0, side)
    axes = figure.add_subplot()
    totals = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(totals, 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest")
    figure.colorbar(image, ax=axes, label="share of the reference class", shrink=0.8)
    axes.set(title=title, xlabel="hypothesis", ylabel="reference")
    size = 8 if classes <= NUMBERS_UP_TO else 5
    if classes <= NAMES_UP_TO:
        names = [_name(label) for label in labels]
        axes.set_xticks(range(classes), names, rotation=90, fontsize=size, **PLAIN)
        axes.set_yticks(range(classes), names, fontsize=size, **PLAIN)
    if classes <= NUMBERS_UP_TO:
        for row, column in zip(*np.nonzero(confusion), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, confusion[row, column], ha="center", va="center", fontsize=7, color=colour)
    save(figure, path)


def save_pairs(path: str, pairs: Sequence[tuple[str, str, int, int]], title: str) -> None:
    """Draw the first of the confused pairs (reference, hypothesis, clips, clips of the reference) as bars of a PNG."""
    shown = pairs[:PAIRS]
    figure = new_figure(9.0, 2.0 + 0.22 * max(len(shown), 3))
    axes = figure.add_subplot()
    axes.barh(range(len(shown)), [clips for *_, clips, _ in shown], color="tab:blue")
    names = [f"{_name(reference)} taken for {_name(hypothesis)}" for reference, hypothesis, *_ in shown]
    axes.set_yticks(range(len(shown)), names, fontsize=7, **PLAIN)
    for row, (*_, clips, total) in enumerate(shown):
        axes.text(clips, row, f" {clips} of {total}", va="center", fontsize=7)
    axes.invert_yaxis()
    axes.set(title=f"{title}; the classes confused most often" if shown else title, xlabel="clips")
    axes.margins(x=0.15)
    save(figure, path)


def _name(label: str) -> str:
    """A class name on one line of at most ``LETTERS`` characters.

    >>> _name("a\\tb" + 40 * "c")
    'a?bcccccccccccccccccccccccccccccccccccc…'
    """
    line = "".join(c if c.isprintable() else "?" for c in label)
    return line if len(line) <= LETTERS else line[: LETTERS - 1] + "…"
