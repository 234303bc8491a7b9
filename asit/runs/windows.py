"""Whole clips through a model that was made for crops: overlapping windows, in batches across clips.

B windows, T frames, F mel bins, K values a clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asit.config import Options, option
from asit.errors import AsitError
from asit.models.classifier import mask_needed
from asit.models.sequence import window_starts
from asit.models.trained import FrontEnd

BATCH = 64  # windows scored at once
PATCH_BATCH = 16  # where the values of every patch are kept
OVERLAP = 0.5  # least overlap of neighbouring windows, as a share of a window
Forward = Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class WindowSettings(Options):
    """How a clip longer than a crop is scored."""

    scoring: str = option(
        "windows", "long clips: mean over windows, or whole at once with interpolated positions", ["windows", "whole"]
    )


@torch.inference_mode()
def apply(
    forward: Forward,
    clips: Iterable[np.ndarray],
    front_end: FrontEnd,
    frames: int,
    settings: WindowSettings,
    device: torch.device,
) -> np.ndarray:
    """Mean of ``forward`` over the windows of each clip, float32 (clips, K).

    Args:
        forward: (B, 1, T, F) normalised features and lengths (B,) or None -> (B, K).
        clips: log-mel features (T, F), not normalised.
        frames: length of a window; a shorter clip is padded with silence, which ``lengths`` hides.

    Raises:
        AsitError: no clips.
    """
    sums: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    waiting: dict[int, list[tuple[int, np.ndarray]]] = {}  # by padded length, so that a batch is rectangular

    def flush(length: int) -> None:
        owners, pieces = zip(*waiting.pop(length), strict=True)
        x = torch.full((len(pieces), 1, length, pieces[0].shape[1]), front_end.silence)
        for row, piece in zip(x, pieces, strict=True):
            row[0, : len(piece)] = torch.from_numpy(front_end.normalise(piece))
        lengths = torch.tensor([len(piece) for piece in pieces])
        masked = mask_needed(lengths, length)
        values = forward(x.to(device), None if masked is None else masked.to(device)).float().cpu().numpy()
        for owner, value in zip(owners, values, strict=True):
            sums[owner] = sums.get(owner, 0.0) + value.astype(np.float64)
            counts[owner] = counts.get(owner, 0) + 1

    number = -1
    for number, feats in enumerate(clips):
        whole = settings.scoring == "whole"
        for start in [0] if whole else window_starts(len(feats), frames, OVERLAP):
            piece = feats if whole else feats[start : start + frames]
            length = max(frames, len(piece))
            waiting.setdefault(length, []).append((number, piece))
            if len(waiting[length]) == BATCH:
                flush(length)
    for length in list(waiting):
        flush(length)
    if number < 0:
        raise AsitError("expected at least one clip to score, found none")
    return np.stack([sums[i] / counts[i] for i in range(number + 1)]).astype(np.float32)


@torch.inference_mode()
def by_patch(
    forward: Forward,
    feats: np.ndarray,
    front_end: FrontEnd,
    frames: int,
    backbone: Any,
    device: torch.device,
) -> np.ndarray:
    """Values of every patch of a clip, float32 (rows, bands, K); where windows overlap, their mean.

    Args:
        forward: (B, 1, T, F) normalised features and lengths (B,) or None -> (B, patches, K), time-major.
        feats: log-mel features (T, F), not normalised.
        frames: length of a window, which begins at a patch. What is beyond the clip is silence, as in :func:`apply`.
        backbone: tells patch, stride and the grid of a window.
    """
    (patch, _), (stride, _), (rows, bands) = backbone.patch_embed.patch, backbone.patch_embed.stride, backbone.grid
    count = -(-len(feats) // stride)  # patches that begin within the clip
    shape = ((count - 1) * stride + max(patch, frames), feats.shape[1])
    padded = np.full(shape, front_end.silence, dtype=np.float32)
    padded[: len(feats)] = front_end.normalise(feats)
    starts = window_starts(count, rows, OVERLAP)
    counts = np.zeros((count, 1, 1))
    for first in range(0, len(starts), PATCH_BATCH):
        some = starts[first : first + PATCH_BATCH]
        x = torch.from_numpy(np.stack([padded[start * stride :][:frames] for start in some]))[:, None]
        masked = mask_needed(torch.tensor([min(frames, len(feats) - start * stride) for start in some]), frames)
        values = forward(x.to(device), None if masked is None else masked.to(device)).float().cpu().numpy()
        values = values.reshape(len(some), rows, bands, -1)
        if not first:  # now K is known
            total = np.zeros((count, bands, values.shape[-1]))
        for start, value in zip(some, values, strict=True):
            here = slice(start, min(start + rows, count))
            total[here] += value[: here.stop - start]
            counts[here] += 1
    return (total / counts).astype(np.float32)


def score(
    classifier: torch.nn.Module,
    task: Any,
    clips: Iterable[np.ndarray],
    front_end: FrontEnd,
    frames: int,
    settings: WindowSettings,
) -> np.ndarray:
    """Class probabilities, float32 (clips, C), by a classifier in evaluation mode on its own device."""
    device = next(classifier.parameters()).device
    return apply(lambda x, n: task.scores(classifier(x, n)), clips, front_end, frames, settings, device)
