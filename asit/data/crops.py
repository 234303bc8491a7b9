"""Random time crops for pretraining.

Letters: B clips, T and t frames of global and local crops, F mel bins, L local crops.

The position of a crop is a pure function of (seed, number of the sample in the run): see :mod:`asit.seeding`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from asit.config import Options, option
from asit.data.features import Features, Piece
from asit.data.sampler import Key
from asit.errors import AsitError
from asit.seeding import numpy_generator

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CropSettings(Options):
    """Which clips are drawn, and what is cut out of them. Two global crops a clip, independent of one another."""

    global_frames: int = option(592, "frames of a global crop", least=1)
    local_frames: int = option(192, "frames of a local crop", least=1)
    local_crops: int = option(0, "local crops a clip (the second release: 4)", least=0)
    short_clips: str = option("pad", "clips shorter than a global crop: pad them, or leave them out", ("pad", "skip"))
    draw: str = option(
        "uniform",
        "clips: each once an epoch, or with replacement in proportion to their length or number of possible crops",
        ("uniform", "length", "crops"),
    )
    roll: float = option(
        0.0, "probability of rotating a clip in time by a random amount first (first release: 0.5)", least=0, most=1
    )


class Crops:
    """Crops of a data directory's clips; items are asked for by (index in the pool, number of the sample).

    Attributes: ``pool`` int64 (clips,), indices into ``features`` of the clips that are drawn; ``weights``, for
    drawing with replacement, or None; ``padded_share``, the expected share of padded global crops.

    Raises:
        AsitError: no clip is long enough.
    """

    def __init__(self, features: Features, settings: CropSettings, seed: int) -> None:
        self.features, self.settings, self.seed = features, settings, seed
        frames = features.num_frames
        least = settings.global_frames if settings.short_clips == "skip" else 1
        self.pool = np.flatnonzero(frames >= least)
        left = len(frames) - len(self.pool)
        if not len(self.pool):
            raise AsitError(
                f"{features.path}: none of the {left} clips has {least} frames (longest: {frames.max()}); "
                "lower --global-frames or use --short-clips pad"
            )
        kept = frames[self.pool]
        hours = float(kept.sum()) * features.front_end.frame_shift / 3.6e6
        log.info(
            "pool: %d clips, %.2f hours; %d clips (%.2f hours) shorter than %d frames left out",
            *(len(kept), hours, left, features.hours - hours, least),
        )
        self.hours = hours
        self.weights = None
        if settings.draw == "length":
            self.weights = kept.astype(np.float64)
        elif settings.draw == "crops":
            self.weights = np.maximum(kept - settings.global_frames, 0).astype(np.float64) + 1
        short = (kept < settings.global_frames).astype(np.float64)
        self.padded_share = float(np.average(short, weights=self.weights))

    def __len__(self) -> int:
        return len(self.pool)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """``{"global": (2, T, F), "local": (L, t, F), "padded": bool (2,), "utt": str}``, normalised float32."""
        index, number = int(self.pool[key[0]]), key[1]
        settings, features = self.settings, self.features
        frames = int(features.num_frames[index])
        random = numpy_generator(self.seed, "crop", number)
        shift = int(random.integers(frames)) if settings.roll and random.random() < settings.roll else 0
        lengths = [settings.global_frames] * 2 + [settings.local_frames] * settings.local_crops
        wanted = [pieces_of_crop(frames, n, random, shift) for n in lengths]
        rows = features.read_pieces(index, [piece for pieces in wanted for piece in pieces])
        item: dict[str, Any] = {
            "global": np.empty((2, settings.global_frames, features.num_mels), np.float32),
            "padded": np.array([frames < settings.global_frames] * 2),
            "utt": features.utts[index],
        }
        if settings.local_crops:
            item["local"] = np.empty((settings.local_crops, settings.local_frames, features.num_mels), np.float32)
        for crop, pieces in zip([*item["global"], *item.get("local", ())], wanted, strict=True):
            there = 0
            for first, last in pieces:
                features.stats.normalise(rows.pop(0), out=crop[there : there + last - first])
                there += last - first
            crop[there:] = features.silence
        return item


def collate_crops(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Pretraining batch: ``global_crops`` (2, B, 1, T, F), ``local_crops`` (L, B, 1, t, F) if any, ``padded`` (2, B),
    ``utts``."""
    batch: dict[str, Any] = {
        "global_crops": torch.from_numpy(np.stack([i["global"] for i in items], axis=1)).unsqueeze(2),
        "padded": torch.from_numpy(np.stack([i["padded"] for i in items], axis=1)),
        "utts": [i["utt"] for i in items],
    }
    if "local" in items[0]:
        batch["local_crops"] = torch.from_numpy(np.stack([i["local"] for i in items], axis=1)).unsqueeze(2)
    return batch


def pieces_of_crop(frames: int, length: int, random: np.random.Generator, shift: int = 0) -> list[Piece]:
    """The rows of a random crop of a clip rotated by ``shift``, one piece or two; all rows when the clip is shorter.

    >>> pieces_of_crop(5, 5, np.random.default_rng(0), shift=2)
    [(3, 5), (0, 3)]
    """
    length = min(frames, length)
    offset = int(random.integers(frames - length + 1))
    first = (offset - shift) % frames
    if first + length <= frames:
        return [(first, first + length)]
    return [(first, frames), (0, first + length - frames)]
