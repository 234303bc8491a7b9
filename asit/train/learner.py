"""What the training loop asks of a thing that learns: ASiT's pretraining and fine-tuning both answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

Batch = dict[str, Any]


class Learner(Protocol):
    """An ``nn.Module`` that holds everything a checkpoint must hold (student, teacher, centres) and its losses.

    One optimiser update of the loop is::

        zero gradients
        for each micro-batch:  losses(batch, step, generator)["loss"] / accum -> backward
        clip gradients;  before_update(step);  optimiser;  after_update(step, bad)

    The loop sets training mode, moves the learner to its device, seeds torch and ``generator`` from
    (seed, step, micro-batch, rank), and runs ``losses`` under bf16 autocast when asked to; a learner that wants its
    losses in float32 leaves autocast itself. Buffers must be the same on all ranks after ``losses``.
    Methods that have nothing to do return at once (or ``{}``, or ``[]``).
    """

    def state_dict(self) -> dict[str, Tensor]:
        """Everything to checkpoint. Its names do not depend on :meth:`wrap`."""
        ...

    def load_state_dict(self, state: Mapping[str, Tensor]) -> Any:
        """Inverse of :meth:`state_dict`; strict."""
        ...

    def trained_module(self) -> nn.Module:
        """The module whose parameters are optimised and which DistributedDataParallel wraps."""
        ...

    def wrap(self, module: nn.Module) -> None:
        """Receive the wrapped :meth:`trained_module`, which ``losses`` must call from now on.

        The wrapper must stay out of the module tree (keep it in a tuple), or ``state_dict`` would hold it twice.
        """
        ...

    def losses(self, batch: Batch, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Scalars by name. ``"loss"`` is differentiated, all are logged (as means over the log interval).

        ``step`` counts optimiser updates from 0; ``generator`` lives on the learner's device.
        """
        ...

    def before_update(self, step: int) -> None:
        """After clipping, before the optimiser: for example set the gradients of a frozen layer to None."""
        ...

    def after_update(self, step: int, bad: Tensor) -> None:
        """After the optimiser: for example move the teacher.

        ``bad``: scalar on the device, 1 after an update that was skipped and must leave no trace (see
        :func:`asit.layers.ema.move`).
        """
        ...

    def pictures(self, batch: Batch, step: int) -> dict[str, np.ndarray]:
        """Images by name, uint8 (H, W) or (H, W, 3), for TensorBoard and ``images/``."""
        ...


class Stateful(Protocol):
    """Something beside the learner that a checkpoint keeps: plain numbers, strings, lists, dicts and tensors."""

    def state_dict(self) -> dict[str, Any]:
        """What to keep."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`state_dict`."""
        ...
