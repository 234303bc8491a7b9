"""Multi-head self-attention.

B clips, N tokens (class token included), D width, H heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asit.layers import recompute
from asit.layers.packing import Packed, pack, unpack


class Attention(nn.Module):
    """Self-attention with one joint query/key/value projection (bias included), as in ViT.

    Args:
        dim: width D.
        heads: number of heads H; D must be divisible by H.
        backend: "sdpa" (torch's fused kernels), "explicit" (two matrix products and a softmax in float32), or
            "auto": explicit with a softmax in bfloat16 for that on a CPU, where the fused kernel is slower, else fused.
    """

    def __init__(self, dim: int, heads: int, backend: str = "auto") -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"width {dim} is not divisible by {heads} heads")
        self.heads = heads
        self.backend = backend
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.recompute = "cheap"  # see asit.layers.recompute

    def forward(self, x: Tensor, valid: Tensor | None = None, packed: Packed | None = None) -> Tensor:
        """(B, N, D) -> (B, N, D), or with ``packed`` (M, D) -> (M, D).

        Args:
            x: tokens.
            valid: bool (B, N); keys where it is False are not attended to (padding).
            packed: shapes of the batches whose tokens lie behind one another; a token sees its own clip only.
        """
        linear = recompute.linear if self.recompute == "cheap" else lambda x, layer: layer(x)
        qkv = linear(x, self.qkv)
        if packed is None:
            return linear(self._attend(qkv, valid), self.proj)
        return linear(pack([self._attend(part, None) for part in unpack(qkv, packed)]), self.proj)

    def _attend(self, qkv: Tensor, valid: Tensor | None) -> Tensor:
        """(B, N, 3 * D) -> (B, N, D)."""
        b, n, d = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
        qkv = qkv.reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mask = None if valid is None else valid[:, None, None, :]
        attend = _fused_attention
        if self.backend == "explicit":
            attend = _explicit_attention
        elif self.backend == "auto" and qkv.device.type == "cpu" and qkv.dtype == torch.bfloat16:
            attend = _half_attention
        return attend(qkv, mask).transpose(1, 2).reshape(b, n, d)


# All take queries, keys and values (3, B, H, N, D/H) and a mask bool (B, 1, 1, N) or None, and return (B, H, N, D/H).


def _fused_attention(qkv: Tensor, mask: Tensor | None) -> Tensor:
    return F.scaled_dot_product_attention(*qkv, attn_mask=mask)


def _explicit_attention(qkv: Tensor, mask: Tensor | None) -> Tensor:
    q, k, v = qkv
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B, H, N, N)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(-1).to(v.dtype) @ v


def _half_attention(qkv: Tensor, mask: Tensor | None) -> Tensor:
    """Explicit, with no array in float32: the kernel of the softmax computes in float32 and rounds its result."""
    with torch.autocast(qkv.device.type, enabled=False):
        # Products in bfloat16 copy strided operands each time, also in the backward pass.
        return _explicit_attention(qkv.contiguous(), mask)
