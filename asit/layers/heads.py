"""Pretraining heads: projection onto prototypes and reconstruction of the spectrogram.

D width, K prototypes, N patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Prototypes(nn.Module):
    """Weight-normed linear layer without bias: logit k = g_k <x, v_k / |v_k|>.

    Args:
        dim: width of the input, which the caller L2-normalises.
        prototypes: K.
        train_gain: whether g (initially 1) is a trained parameter (v2) or fixed (v1).
    """

    def __init__(self, dim: int, prototypes: int, train_gain: bool) -> None:
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(prototypes, 1), requires_grad=train_gain)
        self.weight_v = nn.Parameter(nn.init.trunc_normal_(torch.empty(prototypes, dim), std=0.02))

    def weight(self) -> Tensor:
        """(K, dim), the normalised rows times their gains."""
        return self.weight_v * (self.weight_g / self.weight_v.norm(dim=1, keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> (..., K)."""
        return F.linear(x, self.weight())


def _mlp(widths: list[int], gelu_last: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers.append(nn.Linear(a, b))
        if gelu_last or i < len(widths) - 2:
            layers.append(nn.GELU())
    return nn.Sequential(*layers)


class ProjectionHead(nn.Module):
    """Shared MLP, L2 normalisation, then prototypes (paper, section III; DINO's head).

    Args:
        dim: width D of the tokens.
        hidden: width of the two hidden layers.
        bottleneck: width that is normalised.
        prototypes: K of the class token and of the patch tokens; one number: they share a layer (v2).
        train_gain: see :class:`Prototypes`.
    """

    def __init__(self, dim: int, hidden: int, bottleneck: int, prototypes: Sequence[int], train_gain: bool) -> None:
        super().__init__()
        self.mlp = _mlp([dim, hidden, hidden, bottleneck], gelu_last=False)
        self.last_layer_cls = Prototypes(bottleneck, prototypes[0], train_gain)
        self.last_layer_patch = Prototypes(bottleneck, prototypes[1], train_gain) if len(prototypes) == 2 else None

    def forward(self, cls: Tensor, patches: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Class tokens (B, D) to logits (B, K); patch tokens (..., D) to the factors of theirs.

        Returns:
            The class tokens' logits, the patch tokens' normalised embeddings (..., bottleneck) and the prototypes
            (K', bottleneck), whose products are the patch tokens' logits: too many to be held at once without need.
        """
        weight = self.last_layer_cls.weight()
        cls_logits = F.linear(self._embed(cls), weight)
        if patches is None:
            return cls_logits, None, None
        if self.last_layer_patch is not None:
            weight = self.last_layer_patch.weight()
        return cls_logits, self._embed(patches), weight

    def _embed(self, x: Tensor) -> Tensor:
        hidden = self.mlp(x)
        return F.normalize(hidden, dim=-1).to(hidden.dtype)  # under autocast a GPU takes norms in float32, and keeps it


class ReconstructionHead(nn.Module):
    """Patch tokens back to the spectrogram: three linear layers with GELU after each, then a
    transposed convolution of the patch's size and stride.

    Args:
        dim: width D; ``hidden`` and ``bottleneck``: D -> hidden -> hidden -> bottleneck
            (v1: 768, 768, 128 for base; v2: D, D, D).
        patch, stride: (frames, bins).
    """

    def __init__(self, dim: int, hidden: int, bottleneck: int, patch: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__()
        self.mlp = _mlp([dim, hidden, hidden, bottleneck], gelu_last=True)
        self.conv = nn.ConvTranspose2d(bottleneck, 1, kernel_size=patch, stride=stride)

    def forward(self, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, N, D) -> (B, 1, T, F) with N = rows * columns of ``grid``."""
        x = self.mlp(patches)  # (B, N, bottleneck)
        b, _, c = x.shape
        rows, columns = grid
        p, q = self.conv.kernel_size
        if self.conv.stride == self.conv.kernel_size:  # one matrix product, faster than the transposed convolution
            x = x @ self.conv.weight.reshape(c, p * q) + self.conv.bias
            return x.reshape(b, rows, columns, p, q).permute(0, 1, 3, 2, 4).reshape(b, 1, rows * p, columns * q)
        return self.conv(x.transpose(1, 2).reshape(b, c, rows, columns))
