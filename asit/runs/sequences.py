"""Whole utterances through a network that answers at every time step, in batches, and the record of their scores.

T frames, F mel bins, N time steps, K outputs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch

from asit.data.utterances import Utterances
from asit.models.sequence import SequenceNetwork
from asit.models.trained import FrontEnd, TrainedModel
from asit.recipes.provenance import provenance
from asit.recipes.record import Record

FRAMES_AT_ONCE = 20_000  # padding included; a longer utterance is alone


@torch.inference_mode()
def outputs(network: SequenceNetwork, feats: Iterable[np.ndarray], front_end: FrontEnd) -> Iterator[np.ndarray]:
    """Logits (N, K) float32 of log-mel features (T, F), not normalised, utterance by utterance, by a network in
    evaluation mode on its own device."""
    waiting: list[np.ndarray] = []
    for one in feats:
        if waiting and (len(waiting) + 1) * max(len(x) for x in (*waiting, one)) > FRAMES_AT_ONCE:
            yield from _batch(network, waiting, front_end)
            waiting = []
        waiting.append(one)
    if waiting:
        yield from _batch(network, waiting, front_end)


def _batch(network: SequenceNetwork, feats: Sequence[np.ndarray], front_end: FrontEnd) -> Iterator[np.ndarray]:
    device = next(network.parameters()).device
    lengths = torch.tensor([len(x) for x in feats])
    x = torch.zeros((len(feats), 1, int(lengths.max()), feats[0].shape[1]))
    for row, one in zip(x, feats, strict=True):
        row[0, : len(one)] = torch.from_numpy(front_end.normalise(one))
    logits, steps = network(x.to(device), lengths.to(device))
    found = logits.float().cpu().numpy()
    return (one[:count] for one, count in zip(found, steps.tolist(), strict=True))


def scored(
    model: TrainedModel,
    data: Utterances,
    metrics: Mapping[str, float],
    intervals: Mapping[str, Sequence[float]],
    tags: dict[str, str],
    began: float,
) -> Record:
    """The record of the values of a task's metrics and their 95 % intervals.

    Args:
        began: ``time.monotonic()`` at the start of the command.
    """
    return Record(
        tags=tags,
        metric=model.task.metrics[0].name,
        metrics=dict(metrics),
        intervals={name: list(ends) for name, ends in intervals.items()},
        declared=model.task.metrics,
        clips=len(data),
        expected=data.expected,
        train_clips=int(model.metadata.get("train_clips", 0)),
        seconds=time.monotonic() - began,
        provenance=provenance(),
    )
