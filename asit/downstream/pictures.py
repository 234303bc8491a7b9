"""Confusion matrix as a picture that stays readable from 2 to some hundred classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asit.io.atomic import atomic_open

NUMBERS_UP_TO = 40  # classes; beyond, the cells are too small for their counts
NAMES_UP_TO = 120


def save_confusion(path: str, confusion: np.ndarray, labels: Sequence[str], title: str) -> None:
    """Draw ``confusion`` (C, C), row = reference, as a PNG: shade = share of the row, number = clips."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import
    from matplotlib.figure import Figure

    classes = len(labels)
    side = float(np.clip(2.5 + 0.32 * classes, 4.5, 24.0))
    figure = Figure(figsize=(side + 1.0, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    totals = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(totals, 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest")
    figure.colorbar(image, ax=axes, label="share of the reference class", shrink=0.8)
    axes.set(title=title, xlabel="hypothesis", ylabel="reference")
    size = 8 if classes <= NUMBERS_UP_TO else 5
    if classes <= NAMES_UP_TO:
        axes.set_xticks(range(classes), labels, rotation=90, fontsize=size)
        axes.set_yticks(range(classes), labels, fontsize=size)
    if classes <= NUMBERS_UP_TO:
        for row, column in zip(*np.nonzero(confusion), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, confusion[row, column], ha="center", va="center", fontsize=7, color=colour)
    with atomic_open(path, "wb") as stream:
        figure.savefig(stream, format="png", dpi=120)
