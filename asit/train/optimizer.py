"""The optimiser: Adam or AdamW whose groups follow the schedules, and which skips a bad step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from asit.schedules import Schedule
from asit.train.settings import TrainSettings


class Optimizer:
    """Adam(W) over groups of :func:`asit.train.param_groups.param_groups`."""

    def __init__(
        self, groups: Sequence[dict[str, Any]], settings: TrainSettings, lr: Schedule, weight_decay: Schedule
    ) -> None:
        kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
        beta1, beta2 = settings.betas
        self._torch = kind(list(groups), lr=0.0, betas=(beta1, beta2), weight_decay=0.0, fused=True)
        self.lr, self.weight_decay = lr, weight_decay
        self._parameters = [p for g in self._torch.param_groups for p in g["params"]]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self._torch.zero_grad(set_to_none=True)

    def gradients(self) -> list[torch.Tensor]:
        """The gradients there are, in the order of the parameters."""
        return [p.grad for p in self._parameters if p.grad is not None]

    def update(self, step: int, bad: torch.Tensor) -> None:
        """One update with the schedules' values at ``step``.

        ``bad`` is a float32 scalar on the device: 1 leaves parameters, moments and step counts as they are. The
        fused kernel looks at it there (the mechanism of ``torch.amp.GradScaler``), so that nothing waits for the host.
        """
        lr, weight_decay = self.lr[step], self.weight_decay[step]
        for group in self._torch.param_groups:
            group["lr"] = lr * group["lr_scale"]
            group["weight_decay"] = weight_decay if group["decay"] else 0.0
        self._torch.grad_scale, self._torch.found_inf = None, bad
        self._torch.step()

    def state_dict(self) -> dict[str, Any]:
        """Moments and step counts (and the groups' shape)."""
        return self._torch.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`state_dict`; ValueError when the parameters differ."""
        self._torch.load_state_dict(state)
