"""A backbone with pooling and a linear head: what is fine-tuned, saved and used for scoring.

B clips, T frames, F mel bins, N patches, D width, C outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asit.config import option
from asit.errors import AsitError
from asit.models.vit import Tokens


@dataclass(frozen=True)
class HeadSettings:
    """Pooling and head of a fine-tuned model."""

    pooling: str = option(
        "mean",
        "clip embedding: class token, mean of the valid patches, or both side by side",
        ["cls", "mean", "cls+mean"],
    )
    head_norm: bool = option(True, "LayerNorm between pooling and the linear layer")
    head_dropout: float = option(0.0, "share of the embedding's values dropped in front of the linear layer")
    freeze_backbone: bool = option(False, "train the head alone (linear probe)")
    probe_layer: int | None = option(None, "take the tokens after this many blocks; none: after all of them")

    def __post_init__(self) -> None:
        """Raises AsitError for a dropout outside [0, 1)."""
        if not 0.0 <= self.head_dropout < 1.0:
            raise AsitError(f"option 'head_dropout': expected a share in [0, 1), found {self.head_dropout}")


class Classifier(nn.Module):
    """Backbone -> pooling -> (LayerNorm) -> dropout -> linear layer.

    Args:
        backbone: a model of ``asit.models`` (``embed_dim``, ``num_layers``, ``forward(x, lengths, layer)``).
        num_outputs: C.

    Raises:
        AsitError: ``probe_layer`` beyond the backbone's depth.
    """

    def __init__(self, backbone: nn.Module, num_outputs: int, settings: HeadSettings) -> None:
        super().__init__()
        if settings.probe_layer is not None and not 0 <= settings.probe_layer <= backbone.num_layers:
            raise AsitError(
                f"option 'probe_layer': expected 0 to {backbone.num_layers}, the backbone's blocks, "
                f"found {settings.probe_layer}"
            )
        self.settings = settings
        self.backbone = backbone
        width = backbone.embed_dim * (2 if settings.pooling == "cls+mean" else 1)
        self.norm = nn.LayerNorm(width, eps=1e-6) if settings.head_norm else nn.Identity()
        self.dropout = nn.Dropout(settings.head_dropout)
        self.head = nn.Linear(width, num_outputs)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        if settings.freeze_backbone:
            backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> Classifier:
        """A frozen backbone stays in evaluation mode: no stochastic depth in a linear probe."""
        super().train(mode)
        if self.settings.freeze_backbone:
            self.backbone.eval()
        return self

    def embed(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Clip embeddings (B, D), or (B, 2 D) for ``cls+mean``.

        Args:
            x: (B, 1, T, F) normalised features. lengths: valid frames (B,) int64; None when all are valid.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.settings.freeze_backbone):
            tokens = self.backbone(x, lengths, self.settings.probe_layer)
            return pool(tokens, self.settings.pooling)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, C)."""
        return self.head(self.dropout(self.norm(self.embed(x, lengths))))


def pool(tokens: Tokens, pooling: str) -> Tensor:
    """Embedding (B, D) or (B, 2 D) of the tokens; patches that hold padding do not count."""
    if pooling == "cls":
        return tokens.cls
    if tokens.valid is None:
        mean = tokens.patches.mean(dim=1)
    else:
        weight = tokens.valid[..., None].to(tokens.patches.dtype)
        mean = (tokens.patches * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
    return mean if pooling == "mean" else torch.cat([tokens.cls, mean.to(tokens.cls.dtype)], dim=1)


def mask_needed(lengths: Tensor, frames: int) -> Tensor | None:
    """``lengths``, or None when no clip is padded, which spares attention its mask."""
    return lengths if bool((lengths < frames).any()) else None
