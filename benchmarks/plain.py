"""The yardstick of step.py: a training step as the published code does it.

float32, eager, explicit attention, whole logits, masks drawn clip by clip in the loader, AdamW without its fused or
foreach kernels, Python loops over the parameters for clipping and for the teacher. The algorithm is that of the
release; the code is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

MAX_SHARE = 0.3


def published_mask(size: tuple[int, int], share: float, random: np.random.Generator) -> np.ndarray:
    """bool (T, F): rectangles one after another until ``share`` of the bins is covered."""
    frames, bins = size
    mask = np.zeros(size, dtype=bool)
    while mask.mean() < share:
        row, column = random.integers(frames - 1), random.integers(bins - 1)
        rows, columns = (int(random.integers(1, int(side * MAX_SHARE))) for side in size)
        mask[row : row + rows, column : column + columns] = True
    return mask


def published_corruption(
    crops: np.ndarray, drop_ratio: float, replace_ratio: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(corrupted, mask) of crops (B, 1, T, F), one clip at a time: dropped blocks, then perhaps alien ones instead."""
    corrupted, masks = crops.copy(), np.zeros(crops.shape, dtype=bool)
    for i, crop in enumerate(crops):
        low = min(0.5, drop_ratio)
        mask = published_mask(crop.shape[1:], random.uniform(low, max(low, drop_ratio)), random)
        corrupted[i, 0][mask] = 0
        if random.random() < 0.5 and len(crops) > 1:
            mask = published_mask(crop.shape[1:], replace_ratio, random)
            other = (i + random.integers(1, len(crops))) % len(crops)
            corrupted[i, 0] = np.where(mask, crops[other, 0], crop[0])
        masks[i, 0] = mask
    return corrupted, masks


def clip_one_by_one(parameters: Iterable[Tensor], limit: float) -> None:
    """Clip every gradient to its own norm, looking at each norm on the host."""
    for parameter in parameters:
        if parameter.grad is not None:
            factor = limit / (parameter.grad.norm(2).item() + 1e-6)
            if factor < 1:
                parameter.grad.mul_(factor)


@torch.no_grad()
def average_one_by_one(teacher: Iterable[Tensor], student: Iterable[Tensor], momentum: float) -> None:
    """Move the teacher's parameters one after another."""
    for t, s in zip(teacher, student, strict=True):
        t.mul_(momentum).add_((1 - momentum) * s.detach())


def plain_adamw(groups: Sequence[dict]) -> torch.optim.AdamW:
    """AdamW with a Python loop over the parameters."""
    return torch.optim.AdamW(groups, lr=1e-4, foreach=False, fused=False)
