"""Pictures of a reconstruction: what the student saw, what it made of it, and the truth."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from asit.features.picture import Axes, draw, new_figure

TITLES = ("clean", "corrupted", "holes filled", "reconstruction")


def reconstruction_figure(clean: Tensor, corrupted: Tensor, mask: Tensor, output: Tensor, axes: Axes) -> Any:
    """A matplotlib figure: clean, corrupted, reconstruction in the holes, reconstruction alone; of several clips one
    row each, of one clip the four below each other, as a long clip needs the width.

    Args: (B, 1, T, F) each; mask 1 = corrupted.
    """
    filled = torch.where(mask.bool(), output.to(clean.dtype), clean)
    panels = (
        torch.stack([clean, corrupted, filled, output.to(clean.dtype)]).float().cpu().numpy()[:, :, 0]
    )  # (4, B, T, F)
    limits = float(clean.amin()), float(clean.amax())
    if len(clean) == 1:
        figure = new_figure(10, 8)
        grid = figure.subplots(len(TITLES), 1, sharex=True, sharey=True, squeeze=False).T
    else:
        figure = new_figure(11, 0.6 + 1.9 * len(clean), dpi=90)
        grid = figure.subplots(len(clean), len(TITLES), sharex=True, sharey=True, squeeze=False)
    for row, clips in zip(grid, panels.swapaxes(0, 1), strict=True):
        for place, panel in zip(row, clips, strict=True):
            image = draw(place, panel, axes, limits)
    for place, title in zip(grid[0], TITLES, strict=True):
        place.set_title(title)
    figure.colorbar(image, ax=grid, label="normalised log energy", aspect=40, pad=0.01)
    figure.supxlabel(axes.time_label)
    figure.supylabel(axes.frequency_label)
    return figure
