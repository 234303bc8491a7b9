"""Backbone with its pretraining heads: the student and the teacher are two of these.

B clips, L local crops a clip, T frames, F mel bins, N patches, D width, K prototypes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from asit.layers.heads import ProjectionHead, ReconstructionHead
from asit.losses.local_distillation import Factored
from asit.models.vit import VisionTransformer


class Outputs(NamedTuple):
    """What the losses need from one pass."""

    cls: Tensor | None  # logits (V * B, K): the global views, then the local ones
    patches: Factored | None  # logits (2 * B, n, K') of the kept patch tokens of the global views
    reconstruction: Tensor | None  # (2 * B, 1, T, F)


class PretrainingNetwork(nn.Module):
    """ViT, projection head and reconstruction head."""

    def __init__(
        self, backbone: VisionTransformer, projection: ProjectionHead, reconstruction: ReconstructionHead
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.projection = projection
        self.reconstruction = reconstruction

    def forward(
        self,
        clips: Tensor,
        local: Tensor | None = None,
        kept: Tensor | None = None,
        reconstruct: bool = True,
        project: bool = True,
    ) -> Outputs:
        """One pass over the views of a batch.

        Args:
            clips: (2 * B, 1, T, F), the global views.
            local: (L * B, 1, t, F), the local views; class token only.
            kept: int64 (2 * B, n), the patch tokens that are projected; None keeps all N.
            reconstruct: whether to run the reconstruction head.
            project: whether to run the projection head.
        """
        tokens = self.backbone(clips)
        cls_logits = factored = output = None
        if project:
            cls = tokens.cls if local is None else torch.cat([tokens.cls, self.backbone(local).cls])
            patches = tokens.patches
            if kept is not None:
                patches = patches.gather(1, kept[..., None].expand(-1, -1, patches.shape[-1]))
            cls_logits, *parts = self.projection(cls, patches)
            factored = Factored(*parts)
        if reconstruct:
            grid = self.backbone.patch_embed.grid(*clips.shape[-2:])
            output = self.reconstruction(tokens.patches, grid)
        return Outputs(cls_logits, factored, output)
