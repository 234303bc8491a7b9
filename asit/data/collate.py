"""Items to batches. Letters: B clips, T and t frames of global and local crops, F mel bins, L local crops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


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


def collate_clips(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Fine-tuning batch: ``feats`` (B, 1, T, F), ``lengths`` int64 (B,), ``targets`` (B[, C]) if any, ``utts``."""
    batch: dict[str, Any] = {
        "feats": torch.from_numpy(np.stack([i["feats"] for i in items])).unsqueeze(1),
        "lengths": torch.tensor([i["length"] for i in items]),
        "utts": [i["utt"] for i in items],
    }
    if "target" in items[0]:
        batch["targets"] = torch.stack([i["target"] for i in items])
    return batch
