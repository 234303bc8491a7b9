"""The authors' released checkpoints, both variants: their parameter names, and a file of ours from one of theirs.

Official files prefix the student's names with ``module.``; the map below works on names without it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asit.config import REQUIRED, Options, from_dict, option, to_dict
from asit.errors import AsitError, excerpt
from asit.features.fbank import FbankSettings
from asit.models import model_file, vit
from asit.models.trained import fits

# Official prefix -> ours. v1 has head_cls with one layer per kind of token, v2 one shared head.
PREFIXES = {
    "backbone.": "backbone.",
    "head_cls.mlp.": "projection.mlp.",
    "head_cls.cls_layer.": "projection.last_layer_cls.",
    "head_cls.data_layer.": "projection.last_layer_patch.",
    "head.mlp.": "projection.mlp.",
    "head.last_layer.": "projection.last_layer_cls.",
    "head_recons.mlp.": "reconstruction.mlp.",
    "head_recons.convTrans.": "reconstruction.conv.",
}


def our_name(official: str) -> str:
    """Our name of an official parameter.

    >>> our_name("module.head_recons.convTrans.bias")
    'reconstruction.conv.bias'

    Raises:
        AsitError: a name of neither variant.
    """
    name = official.removeprefix("module.")
    for prefix, ours in PREFIXES.items():
        if name.startswith(prefix):
            return ours + name[len(prefix) :]
    raise AsitError(f"'{official}' is not a parameter of the released ASiT models (v1 or v2)")


def import_network(official: Mapping[str, Tensor], expected: Iterable[str]) -> dict[str, Tensor]:
    """State of a :class:`asit.methods._network.PretrainingNetwork` from an official student or teacher state.

    Raises:
        AsitError: names that one side has and the other has not.
    """
    state = {our_name(name): value for name, value in official.items()}
    differing = sorted(state.keys() ^ set(expected))
    if differing:
        raise AsitError(f"the checkpoint does not fit the model: {', '.join(differing[:5])} ({len(differing)} in all)")
    return state


# Constants of both variants: heads are 64 wide; mean and deviation are AudioSet's (paper, section IV).
HEAD_WIDTH = 64
MELS = 128
STATS = {"mean": -4.2677393, "std": 4.5689974, "frames": 0}  # frames: not published
RATES = {"v1": 32000, "v2": 16000}


@dataclass(frozen=True)
class ImportSettings(Options):
    """Turn a released ASiT checkpoint into a backbone.safetensors to fine-tune, embed or score with."""

    checkpoint: str = option(REQUIRED, "official checkpoint, a PyTorch file with 'student' and 'teacher'")
    out: str = option(REQUIRED, "backbone.safetensors to write")
    network: str = option("teacher", "which of the two networks", ["teacher", "student"])
    heads: int = option(0, "attention heads; 0: one for every 64 of the width, as published")


def import_model(settings: ImportSettings) -> dict[str, Any]:
    """Write ``settings.out`` and return its metadata. Sizes and variant are read off the weights.

    Raises:
        AsitError: unreadable file, no such network in it, entries that are no dense tensors, or weights that are no
            ASiT backbone.
    """
    official = _network_of(settings)
    variant = "v1" if any(name.startswith("head_cls.") for name in official) else "v2"
    state = {
        name.removeprefix("backbone."): value.float()
        for name, value in official.items()
        if name.startswith("backbone.")
    }
    try:
        width, _, patch_frames, patch_mels = state["patch_embed.proj.weight"].shape
        _, patches, _ = state["pos_embed"].shape
        patches -= 1
        depth = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
        if min(width, patch_frames, patches, depth) < 1 or not 1 <= patch_mels <= MELS:
            raise ValueError
    except (KeyError, ValueError):
        raise AsitError(f"{settings.checkpoint}: '{settings.network}' holds no ViT backbone of ASiT") from None
    sizes = {
        "embed_dim": width,
        "depth": depth,
        "heads": settings.heads or max(1, width // HEAD_WIDTH),
        "patch": (patch_frames, patch_mels),
    }
    frames = patches // (MELS // patch_mels) * patch_frames
    try:
        model_settings = from_dict(vit.Settings, sizes)
        with torch.device("meta"):
            expected = vit.build(model_settings, frames, MELS).state_dict()
    except AsitError as error:
        raise AsitError(f"{settings.checkpoint}: '{settings.network}': {error}") from None
    differing = sorted(name for name in expected.keys() | state.keys() if not fits(name, expected, state))
    if differing:
        raise AsitError(
            f"{settings.checkpoint}: {len(differing)} weights do not fit a ViT of width {width} and depth {depth}, "
            f"such as '{differing[0]}'; expected a checkpoint of the released code"
        )
    front_end = {"sample_rate": RATES[variant], "num_mel_bins": MELS, "channel": "0"}  # AST's takes the first channel
    metadata = {
        "kind": "backbone",
        "model": "vit",
        "model_settings": to_dict(model_settings),
        "frames": frames,
        "mels": MELS,
        "front_end": to_dict(from_dict(FbankSettings, front_end)),
        "stats": STATS,
        "provenance": {"method": "asit", "network": settings.network, "released variant": variant},
    }
    model_file.save(settings.out, state, metadata)
    return metadata


def _network_of(settings: ImportSettings) -> dict[str, Tensor]:
    try:
        # The files also hold the run's options as a plain Namespace; nothing else is let in.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(settings.checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not its own
        reason = " ".join(str(error).split())[:200]
        raise AsitError(f"{settings.checkpoint}: cannot read as a PyTorch checkpoint: {reason}") from None
    if not isinstance(content, dict) or settings.network not in content:
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise AsitError(f"{settings.checkpoint}: expected an entry '{settings.network}', found {excerpt(found, 200)}")
    network = content[settings.network]
    if not isinstance(network, dict):
        raise AsitError(
            f"{settings.checkpoint}: '{settings.network}': expected names with tensors, found {type(network).__name__}"
        )
    for name, value in network.items():
        if not isinstance(name, str) or not _is_plain(value):
            raise AsitError(
                f"{settings.checkpoint}: '{settings.network}': entry '{excerpt(name)}': expected a dense tensor of "
                f"numbers, all stored in the file, found {type(value).__name__}"
            )
    return {name.removeprefix("module."): value for name, value in network.items()}


def _is_plain(value: Any) -> bool:
    """A dense tensor as large as its storage: a pickle can describe one of 10^12 values that are all the same byte."""
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized or value.is_complex():
        return False
    return value.device.type == "cpu" and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
