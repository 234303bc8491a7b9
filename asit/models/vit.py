"""Vision transformer over log-mel spectrograms.

B clips, T frames, F mel bins, N patches, D width. Parameter names are timm's, so that ImageNet files and
the released ASiT checkpoints map one to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from asit.config import Options, option
from asit.errors import AsitError
from asit.layers.block import LAYER_NORM_EPS, Block
from asit.layers.patch_embed import PatchEmbed
from asit.layers.pos_embed import fit_positions

SIZES = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12)}  # width, depth, heads
MLP_RATIO = 4.0  # hidden width of the blocks' MLP over D


@dataclass(frozen=True)
class Settings(Options):
    """Vision transformer."""

    size: str = option("base", "width/depth/heads: tiny 192/12/3, small 384/12/6, base 768/12/12", [*SIZES])
    embed_dim: int = option(0, "width D; 0 takes it from size", least=0)
    depth: int = option(0, "number of blocks; 0 takes it from size", least=0)
    heads: int = option(0, "number of attention heads; 0 takes it from size", least=0)
    patch: tuple[int, ...] = option(
        (16, 16), "frames and mel bins of a patch; 0 bins: all of them (full-band patches)", least=0, counts=(2,)
    )
    stride: tuple[int, ...] = option(
        (0, 0), "frames and mel bins between patches; 0: as the patch (no overlap)", least=0, counts=(2,)
    )
    drop_path: float = option(
        0.1, "stochastic depth of the last block; grows linearly from 0 over the depth", least=0, below=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.patch[0]:
            raise AsitError("option 'patch': expected at least one frame, found 0")


class Tokens(NamedTuple):
    """Normalised outputs of the transformer."""

    cls: Tensor  # (B, D)
    patches: Tensor  # (B, N, D), time-major
    valid: Tensor | None  # bool (B, N): patches that hold signal; None when no lengths were given


def build(settings: Settings, frames: int, mels: int) -> VisionTransformer:
    """The model whose position table is made for crops of ``frames`` x ``mels``.

    Raises:
        AsitError: sizes that do not fit each other.
    """
    width, depth, heads = SIZES[settings.size]
    width, depth, heads = settings.embed_dim or width, settings.depth or depth, settings.heads or heads
    patch = (settings.patch[0], settings.patch[1] or mels)
    stride = (settings.stride[0] or patch[0], settings.stride[1] or patch[1])
    if width % heads:
        raise AsitError(f"embed_dim {width} is not divisible by heads {heads}")
    if patch[0] > frames or patch[1] > mels:
        raise AsitError(
            f"a patch of {patch[0]} frames x {patch[1]} mels does not fit into an input of {frames} x {mels}; "
            "lower --patch, or lengthen the crop"
        )
    if stride[0] > patch[0] or stride[1] > patch[1]:
        raise AsitError(f"stride {stride} exceeds the patch {patch}: bins between patches would never be seen")
    return VisionTransformer(settings, (frames, mels), patch, stride, width, depth, heads)


class VisionTransformer(nn.Module):
    """ViT with a class token, learned absolute positions and pre-normalisation. Use :func:`build`.

    Attributes: ``keeps_positions``: an input shorter than the model was built for gets the first positions of the
    table, whatever it was padded to; otherwise the whole table, fitted to its length (as published for local crops).
    """

    def __init__(
        self,
        settings: Settings,
        input_size: tuple[int, int],
        patch: tuple[int, int],
        stride: tuple[int, int],
        width: int,
        depth: int,
        heads: int,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.embed_dim = width
        self.num_layers = depth
        self.keeps_positions = False
        self.patch_embed = PatchEmbed(patch, stride, width)
        self.grid = self.patch_embed.grid(*input_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid[0] * self.grid[1], width))
        rates = [settings.drop_path * i / max(1, depth - 1) for i in range(depth)]
        self.blocks = nn.ModuleList(Block(width, heads, MLP_RATIO, rate) for rate in rates)
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        for parameter in (self.cls_token, self.pos_embed):
            nn.init.trunc_normal_(parameter, std=0.02)
        self.apply(init_weights)

    def forward(self, x: Tensor, lengths: Tensor | None = None, layer: int | None = None) -> Tokens:
        """Tokens of a batch of spectrograms.

        Args:
            x: (B, 1, T, F), normalised log-mels. F must be what the model was built for; T is free.
            lengths: int64 (B,), valid frames of each clip; patches wholly beyond them are hidden from
                attention and marked in ``Tokens.valid``. None: all frames are valid.
            layer: return the (normalised) output of this many blocks instead of all; 0 is the embedding.

        Raises:
            AsitError: wrong number of mel bins, or an input shorter than one patch.
        """
        x, valid, keys = self._start(x, lengths)
        for block in self.blocks[: self.num_layers if layer is None else layer]:
            x = block(x, keys)
        return self._tokens(x, valid)

    def hidden(self, x: Tensor, lengths: Tensor | None = None) -> list[Tokens]:
        """What :meth:`forward` returns after 0, 1, ... all blocks, in one pass."""
        x, valid, keys = self._start(x, lengths)
        found = [self._tokens(x, valid)]
        for block in self.blocks:
            x = block(x, keys)
            found.append(self._tokens(x, valid))
        return found

    def _start(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Tokens (B, 1 + N, D) that enter the first block, valid patches (B, N), and tokens (B, 1 + N) to look at."""
        x, grid = self._embed(x)
        valid = None if lengths is None else self._valid(lengths, grid)
        return x, valid, None if valid is None else torch.cat([torch.ones_like(valid[:, :1]), valid], dim=1)

    def _tokens(self, x: Tensor, valid: Tensor | None) -> Tokens:
        x = self.norm(x)
        return Tokens(x[:, 0], x[:, 1:], valid)

    def _embed(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Class token and patches with their positions, (B, 1 + N, D), and the grid of the patches."""
        frames, mels = x.shape[-2:]
        grid = self.patch_embed.grid(frames, mels)
        if mels != self.input_size[1] or 0 in grid:
            raise AsitError(
                f"the model expects {self.input_size[1]} mel bins and at least {self.patch_embed.patch[0]} frames, "
                f"found {mels} bins x {frames} frames"
            )
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), self.patch_embed(x)], dim=1)
        if self.keeps_positions and grid[0] <= self.grid[0]:
            return x + self.pos_embed[:, : x.shape[1]], grid  # time-major: the first rows
        return x + fit_positions(self.pos_embed, self.grid, grid), grid

    def _valid(self, lengths: Tensor, grid: tuple[int, int]) -> Tensor:
        starts = torch.arange(grid[0], device=lengths.device) * self.patch_embed.stride[0]
        rows = starts[None, :] < lengths.clamp(min=1)[:, None]  # (B, rows)
        return rows.repeat_interleave(grid[1], dim=1)


def init_weights(module: nn.Module) -> None:
    """Truncated normal of std 0.02 for linear layers and the patch projection, zero biases (ViT, DINO)."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
