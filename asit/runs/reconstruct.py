"""Corrupt a clip as in pretraining, and let the network fill the holes.

T frames, F mel bins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from asit.errors import AsitError
from asit.models import heads

if TYPE_CHECKING:
    from asit.runs.model import Model


class Reconstruction(NamedTuple):
    """float32 (1, 1, T, F) each, normalised."""

    clean: Tensor
    corrupted: Tensor
    mask: Tensor  # bool: where it is corrupted
    output: Tensor

    @property
    def error(self) -> float:
        """Mean absolute error in the holes, as the loss of the training has it."""
        return float((self.output - self.clean).abs()[self.mask].mean())


@torch.inference_mode()
def reconstruct(model: Model, feats: np.ndarray, seed: int = 0) -> Reconstruction:
    """Of log-mel features (T, F), crop by crop; the last one ends with the clip, a shorter clip is padded with silence.

    Args:
        seed: of the corruption.

    Raises:
        AsitError: a fine-tuned model, or a backbone whose pretraining heads are not there or another one's.
    """
    path, front_end, frames, device = model.path, model.front_end, model.frames, model.device
    if model.labels:
        raise AsitError(
            f"{path}: a fine-tuned model, which no longer reconstructs; give the backbone.safetensors it was made from"
        )
    found = heads.load(path, model.backbone, model.metadata.get("provenance", {}))
    length = len(feats)
    padded = np.full((max(length, frames), feats.shape[1]), front_end.silence, dtype=np.float32)
    padded[:length] = front_end.normalise(feats)
    whole = range(0, len(padded) - frames + 1, frames)
    starts = [*whole, len(padded) - frames] if len(padded) % frames else list(whole)
    clean = torch.from_numpy(np.stack([padded[start : start + frames] for start in starts]))[:, None].to(device)
    corrupted, mask = found.corrupt(clean, torch.Generator(device).manual_seed(seed))
    tokens = model.backbone(corrupted).patches
    output = found.reconstruction.to(device)(tokens, model.backbone.patch_embed.grid(*clean.shape[-2:]))

    def joined(crops: Tensor) -> Tensor:
        clip = crops.new_zeros(1, 1, *padded.shape)
        for start, crop in zip(starts, crops, strict=True):
            clip[0, :, start : start + frames] = crop
        return clip[:, :, :length].cpu()

    return Reconstruction(joined(clean), joined(corrupted), joined(mask), joined(output.float()))
