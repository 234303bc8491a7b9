"""Attention gives the formula's values and gradients, in both precisions (which take different kernels on a CPU)."""

from __future__ import annotations

import pytest
import torch

from asit.layers.attention import Attention


def build() -> Attention:
    torch.manual_seed(0)
    return Attention(12, 3)


def formula(attention: Attention, x: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
    """One head and one clip after the other."""
    q, k, v = attention.qkv(x).chunk(3, dim=-1)
    heads = []
    for i in range(3):
        at = slice(4 * i, 4 * i + 4)
        scores = q[..., at] @ k[..., at].transpose(-2, -1) / 4**0.5
        if valid is not None:
            scores = scores + torch.where(valid, 0.0, -torch.inf)[:, None]
        heads.append(scores.softmax(dim=-1) @ v[..., at])
    return attention.proj(torch.cat(heads, dim=-1))


@pytest.mark.parametrize("padded", [False, True])
def test_values_and_gradients(padded: bool) -> None:
    attention = build()
    x = torch.randn(2, 7, 12, requires_grad=True)
    valid = torch.arange(7)[None] < torch.tensor([7, 4])[:, None] if padded else None
    ours, theirs = attention(x, valid), formula(attention, x, valid)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    gradients = [torch.autograd.grad(y.square().sum(), x)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("padded", [False, True])
def test_bfloat16_stays_near_float32(padded: bool) -> None:
    attention = build()
    x = torch.randn(2, 7, 12, requires_grad=True)
    valid = torch.arange(7)[None] < torch.tensor([7, 4])[:, None] if padded else None
    with torch.autocast("cpu", torch.bfloat16):
        half = attention(x, valid)
    assert half.dtype == torch.bfloat16
    exact = attention(x, valid)
    torch.testing.assert_close(half.float(), exact, rtol=0.05, atol=0.01)
    gradients = [torch.autograd.grad(y.float().square().sum(), x)[0] for y in (half, exact)]
    torch.testing.assert_close(*gradients, rtol=0.05, atol=0.02)
