"""What the backward pass makes again changes neither values nor gradients, and is not kept."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from asit.layers import recompute
from asit.layers.block import Block


def blocks(attention: str = "auto") -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(Block(16, 2, 4.0, rate, attention) for rate in (0.0, 0.5)))


def gradients(network: nn.Module, what: str, x: torch.Tensor, bf16: bool) -> list[torch.Tensor]:
    """The output, then the gradients of the input and of all parameters, in training with drop path."""
    network = copy.deepcopy(network).train()
    recompute.choose(network, what)
    torch.manual_seed(1)
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = network(x)
    out.float().square().mean().backward()
    return [out.detach(), x.grad, *(p.grad for p in network.parameters())]


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("what", ["cheap", "blocks"])
def test_same_values_and_gradients(what: str, bf16: bool) -> None:
    network, x = blocks(), torch.randn(6, 5, 16)
    expected, found = gradients(network, "nothing", x, bf16), gradients(network, what, x, bf16)
    for one, other in zip(expected, found, strict=True):
        assert other.dtype == one.dtype
        # In bfloat16 only the biases' gradients differ, which "cheap" sums in float32.
        torch.testing.assert_close(other, one, rtol=2e-2 if bf16 else 1e-5, atol=1e-4 if bf16 else 1e-7)


def kept_bytes(network: nn.Module, what: str, x: torch.Tensor) -> int:
    """Bytes that the backward pass keeps, without the parameters."""
    recompute.choose(network, what)
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    storages: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), torch.autocast("cpu", torch.bfloat16):
        out = network(x)  # held until the storages are counted, so that none is used twice
    assert out.requires_grad
    return sum(storages.values())


def test_each_choice_keeps_less() -> None:
    network, x = blocks().train(), torch.randn(6, 50, 16)
    nothing, cheap, all_ = (kept_bytes(network, what, x) for what in recompute.CHOICES)
    assert cheap < 0.85 * nothing
    assert all_ < 0.4 * cheap


def test_padding_is_hidden_in_recomputed_blocks() -> None:
    block, x = blocks()[0], torch.randn(2, 5, 16)
    valid = torch.arange(5)[None] < torch.tensor([5, 3])[:, None]
    found = []
    for what in recompute.CHOICES:
        recompute.choose(block, what)
        found.append(block(x, valid))
    torch.testing.assert_close(found[1], found[0])
    torch.testing.assert_close(found[2], found[0])
    changed = x.clone()
    changed[1, 3:] += 1
    torch.testing.assert_close(block(changed, valid)[1, :3], found[0][1, :3])
