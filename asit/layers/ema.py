"""Moving averages of weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


@torch.no_grad()
def move(averages: Iterable[Tensor], values: Iterable[Tensor], share: float, bad: Tensor) -> None:
    """averages <- averages + share * (values - averages), in place, unless ``bad`` (a scalar on their device) is 1.

    A GPU is not waited for: there the share itself becomes 0.
    """
    mine, theirs = list(averages), list(values)
    if bad.device.type == "cpu":
        if not bad:
            torch._foreach_lerp_(mine, theirs, share)
        return
    steps = torch._foreach_sub(theirs, mine)
    torch._foreach_mul_(steps, share * (1 - bad))
    torch._foreach_add_(mine, steps)
