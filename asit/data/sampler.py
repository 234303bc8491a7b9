"""Which clip goes where: the order of a run as a pure function of (seed, epoch, step).

There is no sampler state: the step alone gives the position, so a run resumes in mid-epoch on any number of
processes and neither repeats nor skips a clip, as long as the global batch (clips per process x processes x
micro-batches) stays the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from asit.errors import AsitError
from asit.seeding import numpy_generator

log = logging.getLogger(__name__)

BUCKET = 50  # batches whose clips are sorted by length: little padding, and other neighbours in each epoch
Key = tuple[int, int]  # (index of the clip, number of the sample in the whole run)


@dataclass(frozen=True, eq=False)
class BatchPlan:
    """The batches of one rank.

    ``clips``: size of the data set. ``weights`` (clips,): draw with replacement in proportion; None: every clip
    once an epoch, shuffled. ``epoch_samples``: samples an epoch (0: ``clips``; other values only with weights).
    ``last_batch`` "drop": an epoch's last incomplete global batch is left out (another remainder each epoch);
    "keep": it is trained on, filled up from the epoch's start to a multiple of world x accum so that every rank
    has the same number. ``batch_size`` is per process and micro-batch. ``lengths`` (clips,): batches of clips of
    similar length, their order shuffled.
    """

    clips: int
    batch_size: int
    seed: int = 0
    accum: int = 1
    world: int = 1
    rank: int = 0
    weights: np.ndarray | None = None
    epoch_samples: int = 0
    last_batch: str = "drop"
    shuffle: bool = True
    lengths: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.clips < 1:
            raise AsitError("no clips to train on: the data set is empty")
        if self.weights is None and self.epoch_samples not in (0, self.clips):
            raise AsitError("--epoch-samples needs drawing with replacement (weights); leave it 0 otherwise")
        if self.weights is not None and (len(self.weights) != self.clips or not self.weights.sum() > 0):
            raise AsitError(f"sampling weights: expected {self.clips} numbers with a positive sum")
        if self.steps_per_epoch < 1:
            raise AsitError(
                f"a global batch of {self.global_batch} clips is more than the {self.samples} of an epoch: "
                "lower --batch-size or --accum, or use --last-batch keep"
            )

    @classmethod
    def fitting(cls, clips: int, batch_size: int, **plan: Any) -> BatchPlan:
        """The plan, with batches no larger than an epoch where the last one is left out; a warning says so."""
        samples = plan.get("epoch_samples") or clips
        parts = plan.get("world", 1) * plan.get("accum", 1)
        if plan.get("last_batch", "drop") == "drop" and 0 < samples < batch_size * parts:
            smaller = max(1, samples // parts)
            log.warning("only %d clips an epoch: batches of %d instead of %d", samples, smaller, batch_size)
            batch_size = smaller
        return cls(clips, batch_size=batch_size, **plan)

    @property
    def samples(self) -> int:
        """Samples of an epoch."""
        return self.epoch_samples or self.clips

    @property
    def global_batch(self) -> int:
        """Samples of one optimiser update over all processes."""
        return self.batch_size * self.world * self.accum

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser updates of an epoch."""
        whole, rest = divmod(self.samples, self.global_batch)
        return whole + (1 if rest and self.last_batch == "keep" else 0)

    def order(self, epoch: int) -> np.ndarray:
        """Clip index of every sample of an epoch, int64 (samples,)."""
        return _order(self, epoch)

    def step_keys(self, step: int) -> list[Key]:
        """The samples of one update over all ranks, in order."""
        epoch, within = divmod(step, self.steps_per_epoch)
        first = within * self.global_batch
        positions = np.arange(first, min(first + self.global_batch, self.samples))
        short = -len(positions) % (self.world * self.accum)
        positions = np.concatenate([positions, np.arange(short) % self.samples]) if short else positions
        numbers = epoch * self.samples + positions
        return list(zip(self.order(epoch)[positions].tolist(), numbers.tolist(), strict=True))

    def micro_batches(self, first_step: int, last_step: int) -> Iterator[list[Key]]:
        """This rank's micro-batches of the steps [first_step, last_step), ``accum`` a step."""
        for step in range(first_step, last_step):
            keys = self.step_keys(step)
            size = len(keys) // (self.world * self.accum)
            for micro in range(self.accum):
                start = (micro * self.world + self.rank) * size
                yield keys[start : start + size]


@lru_cache(maxsize=2)
def _order(plan: BatchPlan, epoch: int) -> np.ndarray:
    generator = numpy_generator(plan.seed, "order", epoch)
    if plan.weights is not None:
        edges = np.cumsum(plan.weights, dtype=np.float64)
        drawn = np.searchsorted(edges, generator.random(plan.samples) * edges[-1], side="right")
        return np.minimum(drawn, plan.clips - 1)
    order = generator.permutation(plan.clips) if plan.shuffle else np.arange(plan.clips)
    return order if plan.lengths is None else _by_length(order, plan.lengths, plan.global_batch, generator)


def _by_length(order: np.ndarray, lengths: np.ndarray, batch: int, generator: np.random.Generator) -> np.ndarray:
    """``order`` with the clips of each bucket sorted by length and its batches shuffled; a rest stays at the end."""
    whole = len(order) // batch * batch
    batches: list[np.ndarray] = []
    for first in range(0, whole, BUCKET * batch):
        bucket = order[first : min(first + BUCKET * batch, whole)]
        batches += np.split(bucket[np.argsort(lengths[bucket], kind="stable")], len(bucket) // batch)
    return np.concatenate([*(batches[i] for i in generator.permutation(len(batches))), order[whole:]])
