"""Tokens of batches of different lengths behind one another, so that a linear layer sees them all at once.

B clips, N tokens, D width; M = sum of B * N over the batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Packed = Sequence[tuple[int, int]]
"""Shapes (B, N) of the batches, in order."""


def pack(batches: Sequence[Tensor]) -> Tensor:
    """(B, N, D) each -> (M, D)."""
    return torch.cat([x.flatten(0, 1) for x in batches])


def unpack(x: Tensor, packed: Packed) -> list[Tensor]:
    """Inverse of :func:`pack`."""
    parts = x.split([b * n for b, n in packed])
    return [part.unflatten(0, shape) for part, shape in zip(parts, packed, strict=True)]
