"""Learned absolute positions and their adaptation to other grids."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def fit_positions(table: Tensor, from_grid: tuple[int, int], to_grid: tuple[int, int]) -> Tensor:
    """Position table for another grid of patches, by bicubic interpolation (as published for the local crops).

    Args:
        table: (1, 1 + rows * columns, D); entry 0 belongs to the class token and is kept.
        from_grid: (rows in time, columns in frequency) of the table.
        to_grid: the grid wanted.

    Returns:
        (1, 1 + rows' * columns', D).
    """
    if from_grid == to_grid:
        return table
    cls, patches = table[:, :1], table[:, 1:]
    patches = patches.reshape(1, *from_grid, -1)
    patches = F.interpolate(patches.permute(0, 3, 1, 2).float(), size=to_grid, mode="bicubic", align_corners=False)
    patches = patches.permute(0, 2, 3, 1).to(table.dtype)
    return torch.cat([cls, patches.flatten(1, 2)], dim=1)
