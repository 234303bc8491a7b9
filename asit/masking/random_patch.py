"""Independent patches: a fixed share of a grid's cells, as in MAE and SSAST.

B clips, T frames, F mel bins; mask 1 = corrupted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asit.config import Options, option
from asit.errors import AsitError
from asit.masking._corruption import Corruption, apply_mask


@dataclass(frozen=True)
class Settings(Options):
    """Random patches."""

    mask_ratio: float = option(0.5, "share of the grid's cells that is corrupted", least=0, most=1)
    cell_frames: int = option(16, "frames of a cell", least=1)
    cell_mels: int = option(16, "mel bins of a cell", least=1)
    fill: str = option("zeros", "what a cell becomes", ["zeros", "noise"])


@torch.no_grad()
def corrupt(clips: Tensor, settings: Settings, generator: torch.Generator) -> Corruption:
    """Corrupt one view of a batch; arguments and result as :func:`asit.masking.gmml.corrupt`.

    Raises:
        AsitError: a crop that is not a whole number of cells.
    """
    b, _, t, f = clips.shape
    cell = (settings.cell_frames, settings.cell_mels)
    if t % cell[0] or f % cell[1]:
        raise AsitError(
            f"crops of {t} x {f} are not whole cells of {cell[0]} x {cell[1]}; change --cell-frames/--cell-mels"
        )
    rows, columns = t // cell[0], f // cell[1]
    count = round(settings.mask_ratio * rows * columns)
    rank = torch.rand(b, rows * columns, generator=generator, device=generator.device).argsort(dim=1).argsort(dim=1)
    mask = (rank < count).view(b, 1, rows, columns)
    return apply_mask(clips, mask.repeat_interleave(cell[0], 2).repeat_interleave(cell[1], 3), settings.fill, generator)
