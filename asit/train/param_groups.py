"""Parameter groups: what decays, and how fast each layer learns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import nn


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Whether weight decay applies: not to biases and not to 1-d parameters (norms), as published (DINO, ASiT).

    Position tables and class tokens are 3-d and do decay there.
    """
    return parameter.ndim > 1 and not name.endswith(".bias")


def layer_of(name: str, num_layers: int) -> int:
    """Depth of a parameter for layer-wise decay: 0 for the input side, i + 1 for block i, ``num_layers`` + 1 after it.

    >>> [layer_of(n, 12) for n in ("vit.pos_embed", "vit.blocks.3.mlp.fc1.weight", "vit.norm.weight", "head.weight")]
    [0, 4, 13, 13]
    """
    block = re.search(r"(?:^|\.)blocks\.(\d+)\.", name)
    if block:
        return int(block.group(1)) + 1
    if re.search(r"(?:^|\.)(patch_embed|pos_embed|cls_token|mask_token)(?:\.|$)", name):
        return 0
    return num_layers + 1


def param_groups(
    modules: nn.Module | Iterable[tuple[str, nn.Parameter]], layer_decay: float = 1.0, num_layers: int | None = None
) -> list[dict[str, Any]]:
    """Groups for the optimiser: ``{"params": [...], "lr_scale": float, "decay": bool}``.

    The loop sets ``lr = schedule x lr_scale`` and ``weight_decay = schedule x decay`` before every update. With
    ``layer_decay`` d < 1 a parameter of depth k (:func:`layer_of`) gets ``lr_scale`` d^(num_layers + 1 - k), as in
    BEiT (arXiv 2106.08254); ``num_layers`` defaults to the number of blocks found in the names. Parameters that do
    not require a gradient are left out. Order is that of first appearance, so it is the same in every run.
    """
    named = modules.named_parameters() if isinstance(modules, nn.Module) else modules
    trained = [(n, p) for n, p in named if p.requires_grad]
    if num_layers is None:
        num_layers = max((layer_of(n, -1) for n, _ in trained), default=0)
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for name, parameter in trained:
        scale = layer_decay ** (num_layers + 1 - layer_of(name, num_layers))
        key = (scale, decays(name, parameter))
        group = groups.setdefault(key, {"params": [], "lr_scale": key[0], "decay": key[1]})
        group["params"].append(parameter)
    return list(groups.values())
