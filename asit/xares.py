"""An encoder for the X-ARES benchmark (Zhang et al. 2025, arXiv 2505.16369; package ``xares``).

A file of its own names the model: ``from asit.xares import AsitEncoder``, or
``AsitEncoder = functools.partial(asit.xares.AsitEncoder, "exp/.../model.safetensors")``.
"""

from __future__ import annotations

from torch import Tensor, nn

from asit.hear import get_timestamp_embeddings, load_model


class AsitEncoder(nn.Module):
    """What X-ARES asks of an encoder.

    Args:
        path: a backbone, a fine-tuned model or weights that ship by name, of which the tokens are taken.

    Attributes: ``sampling_rate`` in Hz; ``output_dim``, D; ``hop_size_in_ms`` between frames.

    Raises:
        AsitError: no such model file.
    """

    def __init__(self, path: str = "asit-tiny") -> None:
        super().__init__()
        self.model = load_model(path)
        self.sampling_rate, self.output_dim = self.model.sample_rate, self.model.timestamp_embedding_size
        self.hop_size_in_ms = 1000 * self.model.model.hop

    def forward(self, audio: Tensor) -> Tensor:
        """Sounds, float (B, samples) in [-1, 1] at the model's rate -> float32 (B, N, D), without gradient."""
        return get_timestamp_embeddings(audio, self.model)[0]
