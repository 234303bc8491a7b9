"""What every masking returns, and the fills they share.

B clips, T frames, F mel bins; mask 1 = corrupted.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Corruption(NamedTuple):
    """A corrupted batch and where it is corrupted."""

    clips: Tensor  # (B, 1, T, F), dtype and device of the input
    mask: Tensor  # bool (B, 1, T, F)


def noise_like(clips: Tensor, generator: torch.Generator) -> Tensor:
    """Standard Gaussian noise (inputs are normalised to about half that deviation, as published)."""
    noise = torch.randn(clips.shape, generator=generator, device=generator.device)
    return noise.to(clips.device, clips.dtype)


def apply_mask(clips: Tensor, mask: Tensor, fill: str, generator: torch.Generator) -> Corruption:
    """Replace the bins of ``mask`` (bool, broadcastable to ``clips``) by zeros or noise."""
    mask = mask.to(clips.device).expand_as(clips)
    value = noise_like(clips, generator) if fill == "noise" else torch.zeros((), dtype=clips.dtype, device=clips.device)
    return Corruption(torch.where(mask, value, clips), mask)
