"""Multi-head self-attention.

B clips, N tokens (class token included), D width, H heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Self-attention with one joint query/key/value projection (bias included), as in ViT.

    Args:
        dim: width D.
        heads: number of heads H; D must be divisible by H.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"width {dim} is not divisible by {heads} heads")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, N, D) -> (B, N, D).

        Args:
            x: tokens.
            valid: bool (B, N); keys where it is False are not attended to (padding).
        """
        b, n, d = x.shape
        qkv = self._heads(x)
        mask = None if valid is None else valid[:, None, None, :]
        # torch's fused kernel for CPUs is slower in bfloat16 than two products and a softmax (docs/performance.md).
        by_hand = x.device.type == "cpu" and qkv[0].dtype == torch.bfloat16
        found = _explicit_attention(qkv, mask) if by_hand else F.scaled_dot_product_attention(*qkv, attn_mask=mask)
        return self.proj(found.transpose(1, 2).reshape(b, n, d))

    def weights(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Who attends to whom, (B, H, N, N) float32, for looking at it: rows sum to 1."""
        q, k, _ = self._heads(x)
        scores = (q.float() * q.shape[-1] ** -0.5) @ k.float().transpose(-2, -1)
        if valid is not None:
            scores = scores.masked_fill(~valid[:, None, None, :], -torch.inf)
        return scores.softmax(-1)

    def _heads(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each (B, H, N, D/H)."""
        # Split before the heads are told apart: so the gradient of qkv is put together in one copy, not in two.
        b, n, _ = x.shape
        return tuple(part.view(b, n, self.heads, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))


def _explicit_attention(qkv: tuple[Tensor, ...], mask: Tensor | None) -> Tensor:
    """Queries, keys, values, each (B, H, N, D/H), mask bool (B, 1, 1, N) or None -> (B, H, N, D/H), in their dtype."""
    q, k, v = qkv
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B, H, N, N)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(-1).to(v.dtype) @ v  # under autocast the softmax is float32
