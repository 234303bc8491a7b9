"""Pictures of a reconstruction: what the student saw, what it made of it, and the truth."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

GAP = 4  # pixels between panels


def reconstruction_picture(clean: Tensor, corrupted: Tensor, mask: Tensor, output: Tensor) -> np.ndarray:
    """uint8 (H, W): one row a clip; clean, corrupted, reconstruction pasted into the holes, reconstruction alone.

    Args: (B, 1, T, F) each; mask 1 = corrupted. Time runs right, frequency up.
    """
    pasted = torch.where(mask.bool(), output.to(clean.dtype), clean)
    low, high = clean.amin().item(), clean.amax().item()
    rows = []
    for clip in zip(clean, corrupted, pasted, output, strict=True):
        panels = []
        for panel in clip:
            image = (panel[0].float().T.flip(0) - low) / max(high - low, 1e-6)
            panels += [(image.clamp(0, 1) * 255).byte().cpu().numpy(), np.full((image.shape[0], GAP), 255, np.uint8)]
        row = np.concatenate(panels[:-1], axis=1)
        rows += [row, np.full((GAP, row.shape[1]), 255, np.uint8)]
    return np.concatenate(rows[:-1])
