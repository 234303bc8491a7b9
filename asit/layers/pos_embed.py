"""Learned absolute positions and their adaptation to other grids."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def fit_positions(table: Tensor, from_grid: tuple[int, int], to_grid: tuple[int, int], how: str) -> Tensor:
    """Position table for another grid of patches.

    Args:
        table: (1, 1 + rows * columns, D); entry 0 belongs to the class token and is kept.
        from_grid: (rows in time, columns in frequency) of the table.
        to_grid: the grid wanted.
        how: "interpolate" (bicubic, as published for the local crops) or "cut": the first rows and
            columns as they are; a grid larger than the table is interpolated either way.

    Returns:
        (1, 1 + rows' * columns', D).
    """
    if from_grid == to_grid:
        return table
    cls, patches = table[:, :1], table[:, 1:]
    patches = patches.reshape(1, *from_grid, -1)
    if how == "cut" and to_grid[0] <= from_grid[0] and to_grid[1] <= from_grid[1]:
        patches = patches[:, : to_grid[0], : to_grid[1]]
    else:
        patches = F.interpolate(patches.permute(0, 3, 1, 2).float(), size=to_grid, mode="bicubic", align_corners=False)
        patches = patches.permute(0, 2, 3, 1).to(table.dtype)
    return torch.cat([cls, patches.flatten(1, 2)], dim=1)
