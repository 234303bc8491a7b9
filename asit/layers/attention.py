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
        backend: "sdpa" (torch's fused kernels), "explicit" (two matrix products and a softmax), or
            "auto": explicit for bfloat16 on a CPU, where the fused kernel is slower, else fused.
    """

    def __init__(self, dim: int, heads: int, backend: str = "auto") -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"width {dim} is not divisible by {heads} heads")
        self.heads = heads
        self.backend = backend
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """(B, N, D) -> (B, N, D).

        Args:
            x: tokens.
            valid: bool (B, N); keys where it is False are not attended to (padding).
        """
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)  # (B, H, N, D/H)
        mask = None if valid is None else valid[:, None, None, :]
        explicit = self.backend == "explicit" or (
            self.backend == "auto" and x.device.type == "cpu" and q.dtype == torch.bfloat16
        )
        attend = _explicit_attention if explicit else _fused_attention
        return self.proj(attend(q, k, v, mask).transpose(1, 2).reshape(b, n, d))


def _fused_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _explicit_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    if q.dtype == torch.bfloat16:  # whose matrix products copy strided operands each time, also in the backward pass
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B, H, N, N)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(-1).to(v.dtype) @ v
