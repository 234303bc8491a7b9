"""Pictures of a reconstruction: what the student saw, what it made of it, and the truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

TITLES = ("clean", "corrupted", "holes filled", "reconstruction")
TICKS = 5  # labelled frequencies of a panel


class Axes(NamedTuple):
    """What frames and bins are, for a picture's axes."""

    frame_shift: float = 1.0  # seconds from frame to frame
    hertz: np.ndarray | None = None  # (F,), centre of each mel filter; None counts bins


def reconstruction_picture(clean: Tensor, corrupted: Tensor, mask: Tensor, output: Tensor, axes: Axes) -> np.ndarray:
    """uint8 (H, W, 3): one row a clip; clean, corrupted, reconstruction in the holes, reconstruction alone.

    Args: (B, 1, T, F) each; mask 1 = corrupted. Time runs right, frequency up.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import
    from matplotlib.figure import Figure

    filled = torch.where(mask.bool(), output.to(clean.dtype), clean)
    panels = (
        torch.stack([clean, corrupted, filled, output.to(clean.dtype)]).float().cpu().numpy()[:, :, 0]
    )  # (4, B, T, F)
    frames, mels = panels.shape[-2:]
    figure = Figure(figsize=(11, 0.6 + 1.9 * len(clean)), dpi=90, layout="constrained")
    grid = figure.subplots(len(clean), len(TITLES), sharex=True, sharey=True, squeeze=False)
    low, high = float(clean.amin()), float(clean.amax())
    extent = (0.0, frames * axes.frame_shift, -0.5, mels - 0.5)
    for row, clips in zip(grid, panels.swapaxes(0, 1), strict=True):
        for place, panel in zip(row, clips, strict=True):
            place.imshow(panel.T, origin="lower", aspect="auto", extent=extent, vmin=low, vmax=high, cmap="magma")
    for place, title in zip(grid[0], TITLES, strict=True):
        place.set_title(title)
    bins = np.linspace(0, mels - 1, TICKS).round().astype(int)
    grid[0, 0].set_yticks(bins, [f"{hz:.0f}" for hz in (bins if axes.hertz is None else axes.hertz[bins])])
    figure.supxlabel("frames" if axes.frame_shift == 1 else "seconds")
    figure.supylabel("mel bin" if axes.hertz is None else "Hz")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
