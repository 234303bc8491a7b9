"""The teacher: an exponential moving average of the student that never gets a gradient."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from asit.layers.ema import move


class EmaTeacher(nn.Module):
    """A copy of the student in evaluation mode (no drop path), moved towards it after every update."""

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(student).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> EmaTeacher:
        """Stays in evaluation mode whatever the learner around it is told."""
        self.training = mode
        return self

    def update(self, student: nn.Module, momentum: float, bad: Tensor) -> None:
        """teacher <- momentum * teacher + (1 - momentum) * student, over all parameters, unless ``bad`` is 1."""
        move(self.network.parameters(), student.parameters(), 1 - momentum, bad)
