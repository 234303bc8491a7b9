"""Initialisation from an image ViT (timm's file format), as ASiT's second variant offers it.

The three colour channels of the patch projection are summed, since a spectrogram has one; the position
table is interpolated bicubically from the image's grid (14 x 14) to the spectrogram's (37 x 8).
"""

from __future__ import annotations

import math
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from asit.errors import AsitError
from asit.layers.pos_embed import fit_positions
from asit.models.vit import VisionTransformer


def load_imagenet(model: VisionTransformer, path: str) -> None:
    """Copy the weights of a timm ViT into ``model``; its classifier head is left out.

    Args:
        path: ``.safetensors``, or a PyTorch file (also one that holds the weights under "model").

    Raises:
        AsitError: unreadable file, missing weights, or sizes other than the model's.
    """
    state = _read(path)
    own = model.state_dict()
    missing = own.keys() - state.keys()
    if missing:
        raise AsitError(
            f"{path}: expected a timm ViT, missing {', '.join(sorted(missing)[:3])} ({len(missing)} in all)"
        )
    state = {name: state[name].float() for name in own}
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"].sum(dim=1, keepdim=True)
    side = math.isqrt(state["pos_embed"].shape[1] - 1)
    if side * side + 1 == state["pos_embed"].shape[1]:
        state["pos_embed"] = fit_positions(state["pos_embed"], (side, side), model.grid)
    for name, value in state.items():
        if value.shape != own[name].shape:
            raise AsitError(
                f"{path}: {name} has shape {tuple(value.shape)}, the model expects {tuple(own[name].shape)}; "
                "choose the --size and the 16 x 16 patches of the file"
            )
    model.load_state_dict(state)


def _read(path: str) -> dict[str, Tensor]:
    try:
        if Path(path).suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds for a file that is not theirs
        raise AsitError(f"{path}: cannot read ImageNet weights: {' '.join(str(error).split())[:200]}") from None
    return state.get("model", state)
