"""A backbone with a linear layer on every time step: what recognition and event detection are fine-tuned with.

B utterances, T frames, F mel bins, N time steps, M windows, D width, K outputs. A time step is a row of patches; an
utterance longer than the backbone's crops goes through it in overlapping windows, so attention never sees more than a
window, and memory grows with the length, not with its square.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from asit.config import Options, option
from asit.models.classifier import Classifier, HeadSettings, mask_needed

BANDS = ("concat", "mean")
OVERLAP = 0.25  # least overlap of neighbouring windows; of its two halves each window keeps the inner one
AT_ONCE = 64  # windows that go through the backbone together where no gradient is kept


@dataclass(frozen=True)
class BandSettings(Options):
    """From rows of patches to time steps."""

    bands: str = option("concat", "of patches one above the other: side by side, or their mean", BANDS)


class Steps(NamedTuple):
    """Outputs of every time step; those of an utterance beyond its ``lengths`` mean nothing."""

    logits: Tensor  # (B, N, K)
    lengths: Tensor  # int64 (B,)


class SequenceNetwork(Classifier):
    """Backbone -> rows of patches, the bands side by side or their mean -> LayerNorm -> linear layer.

    What an utterance gives depends neither on its padding nor on the others in the batch.
    """

    def __init__(self, backbone: nn.Module, num_outputs: int, settings: HeadSettings, bands: str) -> None:
        columns = backbone.grid[1] if bands == "concat" else 1
        super().__init__(backbone, num_outputs, settings, width=backbone.embed_dim * columns)
        self.bands = bands
        backbone.keeps_positions = True

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Steps:
        """Logits of every time step.

        Args:
            x: (B, 1, T, F) normalised features; what is beyond ``lengths`` may hold anything.
            lengths: valid frames (B,) int64; None when all are valid.
        """
        (patch, _), (stride, _) = self.backbone.patch_embed.patch, self.backbone.patch_embed.stride
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[2], device=x.device)
        steps = -(-lengths // stride)  # patches that begin within the utterance
        rows = min(self.backbone.grid[0], int(steps.max()))
        frames = (rows - 1) * stride + patch
        plan = [window_plan(count, rows) for count in steps.tolist()]
        x = _padded(x, lengths, (int(steps.max()) - 1) * stride + patch)
        windows = torch.stack(
            [one[:, s * stride : s * stride + frames] for one, (starts, _) in zip(x, plan, strict=True) for s in starts]
        )
        begins = [(b, s * stride) for b, (starts, _) in enumerate(plan) for s in starts]
        owners, firsts = torch.tensor(begins, device=x.device).T
        within = (lengths[owners] - firsts).clamp(max=frames)
        tokens = self._tokens(windows, within, rows)  # (M rows, D)
        index = torch.zeros((len(x), int(steps.max())), dtype=torch.int64)
        offset = 0
        for row, (starts, place) in zip(index, plan, strict=True):
            row[: len(place)] = place + offset
            offset += len(starts) * rows
        return Steps(self.head(self.norm(tokens[index.to(x.device)])), steps)

    def _tokens(self, windows: Tensor, lengths: Tensor, rows: int) -> Tensor:
        """(M, 1, frames, F) -> (M rows, D), or (M rows, bands D)."""
        grad = torch.is_grad_enabled() and not self.settings.freeze_backbone
        size = len(windows) if grad else AT_ONCE
        found = []
        for some, valid in zip(windows.split(size), lengths.split(size), strict=True):
            layers = self.tokens(some, mask_needed(valid, some.shape[2]), self.settings.probe_layer)
            patches = self.weighted([tokens.patches for tokens in layers])
            patches = patches.unflatten(1, (rows, -1))  # (M, rows, bands, D)
            found.append(patches.flatten(2) if self.bands == "concat" else patches.mean(dim=2))
        return torch.cat(found).flatten(0, 1)


def window_starts(frames: int, window: int, overlap: float) -> list[int]:
    """First frames of windows that cover a clip evenly, from its beginning to its very end.

    >>> window_starts(250, 100, 0.5)
    [0, 50, 100, 150]
    >>> window_starts(80, 100, 0.5)
    [0]
    """
    if frames <= window:
        return [0]
    hop = max(1, round(window * (1.0 - overlap)))
    count = math.ceil((frames - window) / hop) + 1
    return [round(i * (frames - window) / (count - 1)) for i in range(count)]


def window_plan(steps: int, rows: int) -> tuple[list[int], Tensor]:
    """First steps of the windows of ``rows`` steps that cover an utterance evenly, and for every step its place among
    the rows of all windows, int64 (steps,): of two windows that have it the one in which it is farther from the end.

    >>> starts, place = window_plan(10, 8)
    >>> starts, place.tolist()
    ([0, 2], [0, 1, 2, 3, 4, 11, 12, 13, 14, 15])
    """
    if steps <= rows:
        return [0], torch.arange(steps)
    starts = window_starts(steps, rows, OVERLAP)
    first = torch.tensor(starts)
    borders = (first[1:] + first[:-1] + rows) // 2  # the middle of what two neighbours share
    step = torch.arange(steps)
    window = torch.searchsorted(borders, step, right=True)
    return starts, window * rows + step - first[window]


def _padded(x: Tensor, lengths: Tensor, frames: int) -> Tensor:
    """(B, 1, frames, F), 0, the mean of the corpus, beyond ``lengths``."""
    x = nn.functional.pad(x, (0, 0, 0, max(0, frames - x.shape[2])))
    inside = torch.arange(x.shape[2], device=x.device) < lengths[:, None]
    return x.masked_fill(~inside[:, None, :, None], 0.0)
