"""torch.compile for the transformer's blocks, in place: names of parameters and checkpoints stay as they are."""

from __future__ import annotations

import logging
import shutil

import torch
from torch import nn

from asit.errors import AsitError
from asit.layers.block import Block

log = logging.getLogger(__name__)
CHOICES = ("none", "blocks", "graphs")
VERSIONS = 64  # of one block's code: each rate of drop path, length, mode and precision is one


def compile_blocks(module: nn.Module, graphs: bool = False, backend: str = "inductor") -> int:
    """Compile every :class:`asit.layers.block.Block` below ``module``; returns how many there are.

    Blocks of one shape share their code, so student and teacher are compiled once. Random numbers are drawn as
    without compiling, so that a run is a function of its seed either way. ``graphs``: record them as CUDA graphs,
    which spares the launches of their kernels; call :func:`begin_step` before each update then.

    Raises:
        AsitError: no C++ compiler, which the CPU needs; graphs on a CPU.
    """
    blocks = [child for child in module.modules() if isinstance(child, Block)]
    on_cpu = any(parameter.device.type == "cpu" for block in blocks for parameter in block.parameters())
    if on_cpu and graphs:
        raise AsitError("--compile graphs: CUDA graphs need a GPU; use --compile blocks or none")
    if on_cpu and backend == "inductor" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise AsitError("--compile blocks: no C++ compiler (c++, g++ or clang++) found; install one or leave it out")
    torch._inductor.config.fallback_random = True
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, VERSIONS)
    for block in blocks:
        block.compile(backend=backend, mode="reduce-overhead" if graphs else None)
    log.info("compiling %d blocks; the first update takes up to a minute longer", len(blocks))
    return len(blocks)


def begin_step() -> None:
    """Tell CUDA graphs that what the last update computed is no longer needed."""
    torch.compiler.cudagraph_mark_step_begin()
