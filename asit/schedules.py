"""Values that depend on the optimiser's step: ``schedule[step] -> float``.

A schedule holds a handful of numbers and computes each value when asked. Steps count optimiser updates from 0.
The cosine and the temperature ramp follow DINO (arXiv 2104.14294, section 3.2 and its public code), which ASiT
uses unchanged; the step decay is AST's (arXiv 2104.01778, section 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """Anything that maps a step to a value."""

    def __getitem__(self, step: int) -> float: ...


@dataclass(frozen=True)
class Constant:
    """The same value at every step.

    >>> Constant(0.1)[7]
    0.1
    """

    value: float

    def __getitem__(self, step: int) -> float:
        return self.value


@dataclass(frozen=True)
class Cosine:
    """Linear warm-up from 0 to ``start``, then half a cosine to ``end``; ``end`` ever after.

    The warm-up reaches ``start`` at its last step, and the cosine begins there again, as published: two
    neighbouring steps have the value ``start``. ``end`` itself would be reached at step ``steps``.

    >>> schedule = Cosine(1.0, 0.0, steps=6, warmup_steps=2)
    >>> [round(schedule[i], 3) for i in range(7)]
    [0.0, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    start: float
    end: float
    steps: int
    warmup_steps: int = 0

    def __getitem__(self, step: int) -> float:
        if step < self.warmup_steps:
            return _warmup(self.start, step, self.warmup_steps)
        if step >= self.steps:
            return self.end
        done = (step - self.warmup_steps) / (self.steps - self.warmup_steps)
        return self.end + 0.5 * (self.start - self.end) * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class EpochRamp:
    """From ``start`` to ``end`` in equal jumps at the first ``epochs`` epochs' beginnings, then ``end``.

    The teacher's temperature of DINO and ASiT.

    >>> ramp = EpochRamp(0.04, 0.07, epochs=4, steps_per_epoch=10)
    >>> [round(ramp[i], 3) for i in (0, 9, 10, 30, 40, 999)]
    [0.04, 0.04, 0.05, 0.07, 0.07, 0.07]
    """

    start: float
    end: float
    epochs: int
    steps_per_epoch: int

    def __getitem__(self, step: int) -> float:
        epoch = step // self.steps_per_epoch
        if epoch >= self.epochs:
            return self.end
        return self.start + (self.end - self.start) * epoch / max(1, self.epochs - 1)


@dataclass(frozen=True)
class StepDecay:
    """``value``, multiplied by ``factor`` at epoch ``first_epoch`` and at every ``every``-th epoch after it.

    Epochs count from 0. AST's ESC-50 recipe is ``StepDecay(1e-4, 0.85, first_epoch=5, every=1, ...)``.

    >>> schedule = StepDecay(1.0, 0.5, first_epoch=2, every=2, steps_per_epoch=10)
    >>> [schedule[i] for i in (0, 19, 20, 39, 40)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    value: float
    factor: float
    first_epoch: int
    every: int
    steps_per_epoch: int
    warmup_steps: int = 0

    def __getitem__(self, step: int) -> float:
        if step < self.warmup_steps:
            return _warmup(self.value, step, self.warmup_steps)
        epoch = step // self.steps_per_epoch
        times = 0 if epoch < self.first_epoch else 1 + (epoch - self.first_epoch) // self.every
        return self.value * self.factor**times


def _warmup(peak: float, step: int, steps: int) -> float:
    return peak * step / max(1, steps - 1)
