"""An upstream for s3prl and SUPERB (Yang et al. 2021, arXiv 2105.01051): hidden states of all layers.

from s3prl import hub
from asit.s3prl import UpstreamExpert
hub.asit = UpstreamExpert              # then S3PRLUpstream("asit", path_or_url="exp/.../backbone.safetensors")
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from asit.runs.model import Model

RATE = 16000  # Hz, of all that s3prl hands over


class UpstreamExpert(nn.Module):
    """What s3prl asks of an upstream. The backbone stays as it is: the states carry no gradient.

    Args:
        ckpt: a backbone, a fine-tuned model, or weights that ship by name. Other arguments of s3prl are of no use here.

    Raises:
        AsitError: no such model file.
    """

    def __init__(self, ckpt: str | None = None, model_config: str | None = None, **_: Any) -> None:
        super().__init__()
        self.model = Model(ckpt or "asit-tiny")
        self.backbone = self.model.backbone.requires_grad_(False)  # registered, so that .to(device) moves it

    def get_downsample_rates(self, key: str) -> int:
        """Samples at 16 kHz from one row of the states to the next."""
        return round(RATE * self.model.hop)

    def train(self, mode: bool = True) -> UpstreamExpert:
        """In evaluation mode always: there is nothing to train."""
        return super().train(False)

    def forward(self, wavs: list[Tensor]) -> dict[str, list[Tensor]]:
        """Waves, float (samples,) in [-1, 1] at 16 kHz -> ``hidden_states``: for each layer float32 (B, N, D), padded.

        The first are the patches as they enter the first block; where a patch has bands, their mean is taken.
        """
        device = next(self.backbone.parameters()).device
        self.model.to(device)
        states = [torch.from_numpy(self.model.hidden(wave.cpu().numpy(), RATE)[0]) for wave in wavs]  # (L + 1, N, D)
        padded = pad_sequence([one.transpose(0, 1) for one in states], batch_first=True)  # (B, N, L + 1, D)
        return {"hidden_states": [layer.to(device) for layer in padded.unbind(dim=2)]}
