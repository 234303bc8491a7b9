"""Gradient clipping without a Python loop over parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def clip_gradients(gradients: Sequence[Tensor], each: float, together: float = 0.0) -> Tensor:
    """Scale gradients in place to norms of at most these; returns the norms (P,) before clipping.

    ``each`` clips each tensor by its own norm, as DINO and ASiT do (factor each / (norm + 1e-6) where that is below
    1); ``together`` clips all by their common norm, after that. 0 clips nothing. Nothing is synchronised with the host.
    """
    norms = clipped = torch.stack(torch._foreach_norm(gradients))
    if each > 0:
        factors = (each / (norms + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_(gradients, list(factors.unbind()))
        clipped = norms * factors
    if together > 0:
        factor = (together / (torch.linalg.vector_norm(clipped) + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_(gradients, factor)
    return norms
