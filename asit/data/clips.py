"""Whole clips at a fixed length, for fine-tuning and scoring. Letters: T frames, F mel bins, C classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from asit.data.crops import fill_up, read_pieces
from asit.data.dataset import FeatureDataset
from asit.data.sampler import Key
from asit.data.targets import MultiHot
from asit.seeding import numpy_generator


class ClipDataset:
    """Clips cut or filled up to ``frames``; items are asked for by (index, number of the sample).

    A longer clip is cut at a random place when ``random_crop`` (training), else at its start, as AST does. A
    shorter one is padded with silence at the end, and ``length`` tells how much is real. ``targets``: int64
    (clips,), float32 (clips, C) or :class:`MultiHot`, as ``asit.tasks`` encode labels; None for unlabelled clips.
    """

    def __init__(
        self,
        features: FeatureDataset,
        frames: int,
        targets: Tensor | MultiHot | None = None,
        *,
        random_crop: bool = False,
        seed: int = 0,
    ) -> None:
        if targets is not None and len(targets) != len(features):
            raise ValueError(f"expected {len(features)} targets, found {len(targets)}")
        self.features, self.frames, self.targets = features, frames, targets
        self.random_crop, self.seed = random_crop, seed

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """``{"feats": float32 (frames, F) normalised, "length": int, "utt": str[, "target": Tensor]}``."""
        index, number = key
        there = int(self.features.num_frames[index])
        length = min(there, self.frames)
        first = 0
        if self.random_crop and there > length:
            first = int(numpy_generator(self.seed, "clip", number).integers(there - length + 1))
        rows = read_pieces(self.features, index, [(first, first + length)])[0]
        feats = fill_up(self.features.normalise(rows), self.frames, self.features.silence)
        item: dict[str, Any] = {
            "feats": np.ascontiguousarray(feats),
            "length": length,
            "utt": self.features.utts[index],
        }
        if self.targets is not None:
            item["target"] = self.targets[index]
        return item
