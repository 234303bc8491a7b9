"""Whole utterances through a network that answers at every time step, in batches.

T frames, F mel bins, N time steps, K outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from asit.models.sequence import SequenceNetwork
from asit.models.trained import FrontEnd

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
