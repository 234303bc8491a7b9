"""Stochastic depth (Huang et al., 2016): a residual branch is left out for whole samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asit.layers.packing import Packed


class DropPath(nn.Module):
    """Zero a branch for a share ``rate`` of the samples and scale the others by 1 / (1 - rate).

    Identity in evaluation mode. Draws from torch's global generator, which the training loop seeds from
    (seed, step, rank).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"drop path rate must lie in [0, 1), found {rate}")
        self.rate = rate

    def forward(self, x: Tensor, packed: Packed | None = None) -> Tensor:
        """(B, ...) -> (B, ...), or with ``packed`` (M, ...) -> (M, ...), whose rows of a clip share their fate."""
        if self.rate == 0 or not self.training:
            return x
        keep = 1 - self.rate
        clips = x.shape[0] if packed is None else sum(b for b, _ in packed)
        scale = ((torch.rand(clips, device=x.device) < keep) / keep).to(x.dtype)
        if packed is not None:
            parts = scale.split([b for b, _ in packed])
            scale = torch.cat([part.repeat_interleave(n) for part, (_, n) in zip(parts, packed, strict=True)])
        return x * scale.view(-1, *([1] * (x.ndim - 1)))

    def extra_repr(self) -> str:
        """The rate, for ``print(model)``."""
        return f"rate={self.rate:g}"
