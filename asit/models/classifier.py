"""A backbone with pooling and a linear head: what is fine-tuned, saved and used for scoring.

B clips, T frames, F mel bins, N patches, D width, C outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asit.config import Options, option
from asit.errors import AsitError
from asit.models.vit import Tokens


@dataclass(frozen=True)
class PoolSettings(Options):
    """From a backbone's tokens to an embedding of the clip."""

    pooling: str = option(
        "mean",
        "clip embedding: class token, mean of the valid patches, or both side by side",
        ["cls", "mean", "cls+mean"],
    )
    pool_slices: int = option(
        1,
        "take the mean over each of this many equal stretches of the clip, side by side; keeps order, for words",
        least=1,
    )
    probe_layer: int | None = option(None, "take the tokens after this many blocks; none: after all of them", least=0)


@dataclass(frozen=True)
class HeadSettings(PoolSettings):
    """Pooling and head of a fine-tuned model."""

    freeze_backbone: bool = option(False, "train the head alone (linear probe)")
    layers: str = option(
        "one",
        "clip embedding: of one layer (--probe-layer), or weighted: the sum of all with learned weights (SUPERB)",
        ["one", "weighted"],
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layers == "weighted" and self.probe_layer is not None:
            raise AsitError("option 'probe_layer': expected none with layers weighted, which takes all of them")


class Classifier(nn.Module):
    """Backbone -> pooling -> LayerNorm -> linear layer.

    Args:
        backbone: a model of ``asit.models``: ``embed_dim``, ``num_layers``, ``forward(x, lengths, layer)``, ``hidden``.
        num_outputs: C.
        width: of what the head sees; None: as the pooling gives it.

    Raises:
        AsitError: ``probe_layer`` beyond the backbone's depth.
    """

    def __init__(self, backbone: nn.Module, num_outputs: int, settings: HeadSettings, width: int | None = None) -> None:
        super().__init__()
        if settings.probe_layer is not None and settings.probe_layer > backbone.num_layers:
            raise AsitError(
                f"option 'probe_layer': expected 0 to {backbone.num_layers}, the backbone's blocks, "
                f"found {settings.probe_layer}"
            )
        self.settings = settings
        self.backbone = backbone
        parts = {"cls": 1, "mean": settings.pool_slices, "cls+mean": 1 + settings.pool_slices}[settings.pooling]
        width = width or backbone.embed_dim * parts
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, num_outputs)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        if settings.layers == "weighted":  # equal at first; Yang et al. 2021 (arXiv 2105.01051), section 3
            self.layer_weights = nn.Parameter(torch.zeros(1 + backbone.num_layers))
        if settings.freeze_backbone:
            backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> Classifier:
        """A frozen backbone stays in evaluation mode: no stochastic depth in a linear probe."""
        super().train(mode)
        if self.settings.freeze_backbone:
            self.backbone.eval()
        return self

    def embed(self, x: Tensor, lengths: Tensor | None = None, layer: int | None = None) -> Tensor:
        """Clip embeddings (B, D) for ``cls``, (B, S D) for ``mean`` over S stretches, (B, (1 + S) D) for both.

        Args:
            x: (B, 1, T, F) normalised features. lengths: valid frames (B,) int64; None when all are valid.
            layer: blocks to go through; None: as the settings say.
        """
        found = self.tokens(x, lengths, self.settings.probe_layer if layer is None else layer)
        pooled = [pool(tokens, self.settings.pooling, self.settings.pool_slices) for tokens in found]
        return self.weighted(pooled)  # means are linear: the same as the mean of the weighted sum

    def tokens(self, x: Tensor, lengths: Tensor | None, layer: int | None) -> list[Tokens]:
        """The backbone's outputs of one layer, or of all where these are weighted and none is named."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.settings.freeze_backbone):
            if self.settings.layers == "weighted" and layer is None:
                return self.backbone.hidden(x, lengths)
            return [self.backbone(x, lengths, layer)]

    def weighted(self, found: list[Tensor]) -> Tensor:
        """The sum of the layers' values with the learned weights; of one layer its value."""
        if len(found) == 1:
            return found[0]
        return torch.einsum("l,l...->...", self.layer_weights.softmax(dim=0).to(found[0].dtype), torch.stack(found))

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, C)."""
        return self.head(self.norm(self.embed(x, lengths)))


def pool(tokens: Tokens, pooling: str, slices: int = 1) -> Tensor:
    """Embedding of the tokens, see :meth:`Classifier.embed`; patches that hold padding do not count."""
    if pooling == "cls":
        return tokens.cls
    mean = _means_in_order(tokens.patches, tokens.valid, slices)
    return mean if pooling == "mean" else torch.cat([tokens.cls, mean.to(tokens.cls.dtype)], dim=1)


def _means_in_order(patches: Tensor, valid: Tensor | None, slices: int) -> Tensor:
    """(B, N, D) -> (B, S * D): means over S equal stretches of each clip's valid patches, which come first.

    Stretch s of n patches is floor(s n / S) to ceil((s + 1) n / S): neighbours share a patch where S does not
    divide n, and none is empty.
    """
    b, n, d = patches.shape
    if slices == 1 and valid is None:
        return patches.mean(dim=1)
    count = (
        torch.full((b, 1), n, device=patches.device) if valid is None else valid.sum(dim=1, keepdim=True).clamp(min=1)
    )
    stretch = torch.arange(slices, device=patches.device)
    first, last = stretch * count // slices, -((stretch + 1) * -count // slices)  # (B, S)
    place = torch.arange(n, device=patches.device)
    inside = ((place >= first[..., None]) & (place < last[..., None])).to(patches.dtype)  # (B, S, N)
    return torch.bmm(inside / inside.sum(dim=2, keepdim=True), patches).reshape(b, slices * d)


def mask_needed(lengths: Tensor, frames: int) -> Tensor | None:
    """``lengths``, or None when no clip is padded, which spares attention its mask."""
    return lengths if bool((lengths < frames).any()) else None
