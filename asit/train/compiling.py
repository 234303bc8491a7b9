"""torch.compile for the transformer's blocks, in place: names of parameters and checkpoints stay as they are."""

from __future__ import annotations

import logging
import shutil

import torch
from torch import nn

from asit.errors import AsitError
from asit.layers.block import Block

log = logging.getLogger(__name__)
VERSIONS = 64  # of one block's code: each rate of drop path, length, mode and precision is one


def compile_blocks(module: nn.Module, backend: str = "inductor") -> int:
    """Compile every :class:`asit.layers.block.Block` below ``module``; returns how many there are.

    Blocks of one shape share their code, so student and teacher are compiled once. Random numbers are drawn as
    without compiling, so that a run is a function of its seed either way.

    Raises:
        AsitError: no C++ compiler, which the CPU needs.
    """
    blocks = [child for child in module.modules() if isinstance(child, Block)]
    on_cpu = any(parameter.device.type == "cpu" for block in blocks for parameter in block.parameters())
    if on_cpu and backend == "inductor" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise AsitError("--compile true: no C++ compiler (c++, g++ or clang++) found; install one or leave it out")
    torch._inductor.config.fallback_random = True
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, VERSIONS)
    for block in blocks:
        block.compile(backend=backend)
    log.info("compiling %d blocks; the first update takes up to a minute longer", len(blocks))
    return len(blocks)
