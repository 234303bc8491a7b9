"""What a block keeps for the backward pass, and what it makes again there.

B clips, N tokens, D width.

A linear layer under autocast keeps a bfloat16 copy of its weight, and an MLP both sides of its activation function.
Either is cheap to make again. Values and gradients are the same, but that a bias' gradient is summed in float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

CHOICES = ("nothing", "cheap", "blocks")


def choose(module: nn.Module, what: str) -> None:
    """Set what the transformer's blocks below ``module`` make again.

    "nothing" keeps all; "cheap" (as built) makes weights in bfloat16 and activation functions again; "blocks"
    keeps the input of each block alone: by far the least memory, for a forward pass more.
    """
    for child in module.modules():
        if hasattr(child, "recompute"):
            child.recompute = what


def linear(x: Tensor, layer: nn.Linear) -> Tensor:
    """(..., D) -> (..., D'), like ``layer(x)``."""
    return _Linear.apply(_autocast(x), layer.weight, layer.bias)  # type: ignore[no-untyped-call]


def mlp(x: Tensor, first: nn.Linear, second: nn.Linear) -> Tensor:
    """(..., D) -> (..., D), like ``second(F.gelu(first(x)))``."""
    return _Mlp.apply(_autocast(x), first.weight, first.bias, second.weight, second.bias)  # type: ignore[no-untyped-call]


def _autocast(x: Tensor) -> Tensor:
    kind = x.device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return x
    return x.to(torch.get_autocast_dtype(kind))


def _apply(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.linear(x, weight.to(x.dtype), bias.to(x.dtype))


def _gradients(slope: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of the input, the weight and the bias, from that of the output."""
    rows = slope.flatten(0, -2)
    by_weight = (rows.t() @ x.flatten(0, -2)).to(weight.dtype)
    return slope @ weight.to(slope.dtype), by_weight, rows.sum(dim=0, dtype=weight.dtype)


class _Linear(torch.autograd.Function):
    """Keeps the input and the weight itself, not its copy."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _apply(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return _gradients(slope, *ctx.saved_tensors)  # type: ignore[attr-defined]


class _Mlp(torch.autograd.Function):
    """Keeps the input and the hidden layer in front of its activation."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
        hidden = _apply(x, weight1, bias1)
        ctx.save_for_backward(x, weight1, hidden, weight2)
        return _apply(F.gelu(hidden), weight2, bias2)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, slope: Tensor) -> tuple[Tensor, ...]:
        x, weight1, hidden, weight2 = ctx.saved_tensors  # type: ignore[attr-defined]
        by_active, *of_second = _gradients(slope, F.gelu(hidden), weight2)
        by_x, *of_first = _gradients(torch.ops.aten.gelu_backward(by_active, hidden), x, weight1)
        return by_x, *of_first, *of_second
