"""The HEAR benchmark's interface (Turian et al. 2022, arXiv 2203.03022; neuralaudio.ai/hear/api.html).

``hear-eval-kit`` takes this module's name: ``python -m heareval.embeddings.runner asit.hear --model asit-tiny``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from asit.errors import AsitError
from asit.runs.model import Model


class HearModel(nn.Module):
    """What HEAR asks of a model: sizes, the rate, and to be movable between devices.

    Attributes: ``sample_rate`` in Hz; ``scene_embedding_size`` and ``timestamp_embedding_size``, both D.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.backbone = model.backbone  # registered, so that .to(device) moves it
        self.sample_rate = model.sample_rate
        self.scene_embedding_size = self.timestamp_embedding_size = model.dim

    def forward(self, audio: Tensor) -> Tensor:
        """:func:`get_scene_embeddings`."""
        return get_scene_embeddings(audio, self)


def load_model(model_file_path: str = "asit-tiny") -> HearModel:
    """A backbone or a fine-tuned model, of which the backbone is taken; nothing given: asit-tiny.

    Raises:
        AsitError: no such model file.
    """
    return HearModel(Model(model_file_path or "asit-tiny"))


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """Sounds of one length, float (n, samples) in [-1, 1] at the model's rate -> float32 (n, D): means over frames."""
    return get_timestamp_embeddings(audio, model)[0].mean(dim=1)


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """The same -> float32 (n, t, D), and the middle of each row in milliseconds, (n, t).

    Raises:
        AsitError: another shape, no sound, one shorter than a frame, or samples that are NaN.
    """
    if audio.ndim != 2 or not len(audio):
        raise AsitError(f"audio: expected (sounds, samples), at least one sound, found {tuple(audio.shape)}")
    device = next(model.backbone.parameters()).device
    model.model.to(device)
    clips = (model.model.features(wave, model.sample_rate) for wave in audio)
    found = list(model.model.embeddings(clips, "frame"))
    values = torch.from_numpy(np.stack([value for value, _ in found])).to(audio.device)
    times = torch.from_numpy(np.stack([times for _, times in found]) * 1000).to(audio.device, torch.float32)
    return values, times
