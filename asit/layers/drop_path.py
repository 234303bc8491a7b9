"""Stochastic depth (Huang et al., 2016): a residual branch is left out for whole samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Zero a branch for a share ``rate`` of the samples and scale the others by 1 / (1 - rate).

    Identity in evaluation mode. Draws from torch's global generator, which the training loop seeds from
    (seed, step, rank).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"drop path rate must be in [0, 1), found {rate}")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        if self.rate == 0 or not self.training:
            return x
        keep = 1 - self.rate
        scale = ((torch.rand(x.shape[0], device=x.device) < keep) / keep).to(x.dtype)
        return x * scale.view(-1, *([1] * (x.ndim - 1)))

    def extra_repr(self) -> str:
        """The rate, for ``print(model)``."""
        return f"rate={self.rate:g}"
