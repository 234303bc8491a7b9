"""What a training reads: who gets which clips when, and their batches, as its options say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from asit.data.loader import Batches, KeyedDataset
from asit.data.sampler import BatchPlan
from asit.train.distributed import Place
from asit.train.settings import TrainSettings


def plan_of(train: TrainSettings, clips: int, place: Place, weights: np.ndarray | None) -> BatchPlan:
    """This rank's plan for so many clips; ``weights`` (clips,) draws them with replacement."""
    return BatchPlan.fitting(
        clips,
        batch_size=train.batch_size,
        seed=train.seed,
        accum=train.accum,
        world=place.size,
        rank=place.rank,
        weights=weights,
        epoch_samples=train.epoch_samples,
        last_batch=train.last_batch,
    )


def batches_of(
    train: TrainSettings,
    dataset: KeyedDataset,
    plan: BatchPlan,
    collate: Callable[[Sequence[dict[str, Any]]], dict[str, Any]],
    place: Place,
) -> Batches:
    """The batches of the plan, loaded by as many processes as the options ask for."""
    pin = place.device.type == "cuda"
    return Batches(dataset, plan, collate, num_workers=train.num_workers, pin=pin)
