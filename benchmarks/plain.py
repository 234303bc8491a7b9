"""The yardstick of step.py: a training step as the published code does it.

float32, eager, explicit attention, whole logits, masks drawn clip by clip in the loader, AdamW without its fused or
foreach kernels, Python loops over the parameters for clipping and for the teacher. The algorithm is that of the
release; the code is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from asit.layers.attention import Attention, _explicit_attention
from asit.losses._centering import entropies
from asit.losses._factored import Factored
from asit.losses.local_distillation import LocalDistillation

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


class PlainAttention(Attention):
    """Two matrix products and a softmax on every device and in every precision."""

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """As :meth:`asit.layers.attention.Attention.forward`."""
        b, n, d = x.shape
        qkv = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mask = None if valid is None else valid[:, None, None, :]
        return self.proj(_explicit_attention(qkv, mask).transpose(1, 2).reshape(b, n, d))


class WholeLogits(LocalDistillation):
    """The local loss as its formula reads, with all logits at once."""

    def forward(self, student: Factored, teacher: Factored, teacher_temp: float) -> dict[str, Tensor]:
        """As :meth:`asit.losses.local_distillation.LocalDistillation.forward`."""
        logits, teacher_logits = (x.logits().flatten(0, -2) for x in (student, teacher))
        targets = self.centering.targets(teacher_logits, teacher_temp)
        loss = -(targets * F.log_softmax(logits.float() / self.student_temp, dim=-1)).sum(dim=-1).mean()
        if self.training:
            self.centering.update(teacher_logits)
        entropy, mean_entropy = entropies(targets)
        return {"loss": loss, "entropy": entropy, "mean_entropy": mean_entropy}


def as_published(module: torch.nn.Module, *kinds: type[torch.nn.Module]) -> None:
    """Turn layers below ``module`` into those of ``kinds`` (above), which are subclasses of theirs."""
    for child in module.modules():
        for kind in kinds:
            if type(child) is kind.__base__:
                child.__class__ = kind
