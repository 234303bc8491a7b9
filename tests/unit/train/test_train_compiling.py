"""Compiled blocks compute what the others do and leave names and checkpoints alone."""

from __future__ import annotations

import copy
import shutil

import pytest
import torch
from torch import nn

from asit.errors import AsitError
from asit.layers.block import Block
from asit.train.compiling import compile_blocks


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(*(Block(16, 2, 2.0, rate) for rate in (0.0, 0.2)))


def step(network: nn.Module) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Output and gradients of one pass with drop path."""
    torch.manual_seed(1)
    x = torch.randn(8, 5, 16)
    out = network.train()(x)
    network.zero_grad()
    out.square().mean().backward()
    return out.detach(), [parameter.grad.clone() for parameter in network.parameters()]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_same_values_and_names(network, backend) -> None:
    plain = copy.deepcopy(network)
    assert compile_blocks(network, backend=backend) == 2
    assert network.state_dict().keys() == plain.state_dict().keys()
    (expected, gradients), (found, others) = step(plain), step(network)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    for one, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)


def test_no_compiler(network, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(AsitError, match=r"no C\+\+ compiler"):
        compile_blocks(network)
