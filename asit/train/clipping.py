"""Gradient clipping without a Python loop over parameters."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def clip_gradients(gradients: Sequence[Tensor], limit: float, mode: str = "tensor") -> Tensor:
    """Scale gradients in place to a norm of at most ``limit``; returns the norms (P,) before clipping.

    ``mode`` "tensor" clips each tensor by its own norm, as DINO and ASiT do (factor limit / (norm + 1e-6) where
    that is below 1); "global" clips all by their common norm. A ``limit`` of 0 clips nothing. Nothing is
    synchronised with the host.
    """
    norms = torch.stack(torch._foreach_norm(gradients))
    if limit <= 0:
        return norms
    if mode == "global":
        factor = (limit / (torch.linalg.vector_norm(norms) + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_(gradients, factor)
    else:
        factors = (limit / (norms + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_(gradients, list(factors.unbind()))
    return norms
