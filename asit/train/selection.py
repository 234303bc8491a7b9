"""The best weights of a run by a metric of the validation set, as part of its checkpoints."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from asit.metrics.metric import Metric


class BestWeights:
    """Keeps a copy of the weights with the best value so far; of equal values the earlier one stays.

    ``state_dict`` and ``load_state_dict`` make it an extra of the loop's checkpoints, so a resumed run selects
    as an uninterrupted one does.
    """

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.value = math.nan
        self.step = 0
        self.weights: dict[str, Tensor] = {}

    def offer(self, step: int, value: float, module: nn.Module) -> bool:
        """Take ``module``'s weights after update ``step`` if ``value`` is better than all before; nan never is."""
        if not self.metric.improves(value, self.value):
            return False
        self.value, self.step = value, step
        self.weights = {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
        return True

    def state_dict(self) -> dict[str, Any]:
        """Value, step and weights."""
        return {"value": self.value, "step": self.step, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of :meth:`state_dict`."""
        self.value, self.step, self.weights = state["value"], state["step"], state["weights"]
