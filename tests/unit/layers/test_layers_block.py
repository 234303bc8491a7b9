"""Checkpointed blocks change neither values nor gradients, and keep less."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from asit.layers.block import Block, checkpoint_blocks


def blocks() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(Block(16, 2, 4.0, rate) for rate in (0.0, 0.5)))


def checkpointed(network: nn.Module) -> nn.Module:
    network = copy.deepcopy(network)
    checkpoint_blocks(network)
    return network


def gradients(network: nn.Module, x: torch.Tensor, bf16: bool) -> list[torch.Tensor]:
    """The output, then the gradients of the input and of all parameters, in training with drop path."""
    torch.manual_seed(1)
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = network.train()(x)
    out.float().square().mean().backward()
    return [out.detach(), x.grad, *(p.grad for p in network.parameters())]


@pytest.mark.parametrize("bf16", [False, True])
def test_same_values_and_gradients(bf16: bool) -> None:
    network, x = blocks(), torch.randn(6, 5, 16)
    other = checkpointed(network)
    for one, two in zip(gradients(network, x, bf16), gradients(other, x, bf16), strict=True):
        assert torch.equal(one, two)


def kept_bytes(network: nn.Module, x: torch.Tensor) -> int:
    """Bytes that the backward pass keeps, without the parameters."""
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


def test_less_is_kept() -> None:
    network, x = blocks().train(), torch.randn(6, 50, 16)
    assert kept_bytes(checkpointed(network), x) < 0.4 * kept_bytes(network, x)


def test_padding_is_hidden() -> None:
    block, x = blocks()[0], torch.randn(2, 5, 16)
    other, valid = checkpointed(block), torch.arange(5)[None] < torch.tensor([5, 3])[:, None]
    found = other(x, valid)
    torch.testing.assert_close(found, block(x, valid))
    changed = x.clone()
    changed[1, 3:] += 1
    torch.testing.assert_close(other(changed, valid)[1, :3], found[1, :3])
