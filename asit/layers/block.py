"""Transformer block with pre-normalisation (ViT; timm's parameter names)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from asit.layers.attention import Attention
from asit.layers.drop_path import DropPath

LAYER_NORM_EPS = 1e-6  # as in ViT; PyTorch's default is 1e-5


class Mlp(nn.Module):
    """Two linear layers with GELU between; hidden width = ratio x D."""

    def __init__(self, dim: int, ratio: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, int(dim * ratio))
        self.fc2 = nn.Linear(int(dim * ratio), dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); both branches under drop path.

    Attributes: ``checkpointed``: keep the block's input alone for the backward pass, which computes the rest again:
    by far less memory, for a forward pass more. Values and gradients are the same.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim, mlp_ratio)
        self.drop_path = DropPath(drop_path)
        self.checkpointed = False

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, N, D) -> (B, N, D); ``valid`` (B, N) bool hides padded keys."""
        if self.checkpointed and torch.is_grad_enabled():
            return checkpoint(self._forward, x, valid, use_reentrant=False)
        return self._forward(x, valid)

    def _forward(self, x: Tensor, valid: Tensor | None) -> Tensor:
        x = x + self.drop_path(self.attn(self.norm1(x), valid))
        return x + self.drop_path(self.mlp(self.norm2(x)))


def checkpoint_blocks(module: nn.Module) -> None:
    """Checkpoint every :class:`Block` below ``module`` (see there)."""
    for child in module.modules():
        if isinstance(child, Block):
            child.checkpointed = True
