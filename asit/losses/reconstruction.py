"""Reconstruction of the spectrogram from its corrupted view (GMML; paper, section III)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Reconstruction(nn.Module):
    """Mean absolute error over the corrupted bins.

    Args:
        all_bins: take the mean over every bin instead.
    """

    def __init__(self, all_bins: bool = False) -> None:
        super().__init__()
        self.all_bins = all_bins

    def forward(self, output: Tensor, clean: Tensor, mask: Tensor) -> Tensor:
        """A scalar; 0 when nothing is corrupted.

        Args:
            output: (B, 1, T, F), the reconstruction.
            clean: (B, 1, T, F), the uncorrupted spectrogram.
            mask: (B, 1, T, F), 1 (or True) where the student saw a corrupted bin.
        """
        error = (output.float() - clean.float()).abs()
        if self.all_bins:
            return error.mean()
        return (error * mask).sum() / mask.sum().clamp(min=1)


def example(generator: torch.Generator) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """A small instance and a call of it, for the contract tests."""
    output = torch.randn(2, 1, 8, 4, generator=generator, requires_grad=True)
    clean = torch.randn(2, 1, 8, 4, generator=generator)
    mask = torch.rand(2, 1, 8, 4, generator=generator) < 0.5
    return Reconstruction(), lambda loss: loss(output, clean, mask)
