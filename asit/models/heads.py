"""What a pretrained network reconstructs with, in a file beside its backbone: ``backbone.heads.safetensors``.

The projection heads are not kept: they are several times as large, and nothing after pretraining uses them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from asit import registry
from asit.config import Chosen, from_dict, to_dict
from asit.errors import AsitError, excerpt
from asit.io import json_object
from asit.layers.heads import ReconstructionHead
from asit.masking._corruption import Corruption
from asit.models import model_file, shipped
from asit.models.trained import fits


@dataclass(frozen=True)
class Heads:
    """The reconstruction head, and the corruption that it has learned to fill."""

    reconstruction: ReconstructionHead
    corrupt: Callable[[torch.Tensor, torch.Generator], Corruption]


def beside(backbone: str | os.PathLike[str]) -> str:
    """The heads' file of a backbone's file, or of weights that ship.

    >>> beside("exp/pretrain_0/backbone.safetensors")
    'exp/pretrain_0/backbone.heads.safetensors'
    """
    return os.path.splitext(shipped.located(backbone))[0] + shipped.HEADS


def save(
    backbone: str | os.PathLike[str], head: ReconstructionHead, masking: Chosen, provenance: Mapping[str, Any]
) -> None:
    """Write the file beside ``backbone``, whose provenance it repeats: so it is known whose heads these are."""
    model_file.save(
        beside(backbone),
        head.state_dict(),
        {
            "kind": "heads",
            "bottleneck": head.conv.in_channels,
            "masking": masking.name,
            "masking_settings": to_dict(masking.settings),
            "provenance": dict(provenance),
        },
    )


def load(path: str, backbone: torch.nn.Module, provenance: Mapping[str, Any]) -> Heads:
    """The heads of the backbone ``path``, in evaluation mode on the CPU.

    Raises:
        AsitError: there is no such file, it is damaged, or it belongs to another backbone.
    """
    place = beside(path)
    if not os.path.isfile(place):
        raise AsitError(
            f"{place}: no such file, and without it {path} cannot reconstruct; asit-pretrain writes it with the "
            "backbone: for a run of before, remove its done.json and give its command again, which goes on from the "
            "last checkpoint"
        )
    tensors, facts = model_file.load(place)
    where = f"{place}: metadata"

    def of(name: str, kind: type) -> Any:
        return json_object.member(facts, name, kind, where, model_file.REMEDY)

    if of("kind", str) != "heads":
        raise AsitError(f"{place}: expected a file of kind 'heads', found '{excerpt(facts['kind'])}'")
    if of("provenance", dict) != dict(provenance):
        raise AsitError(
            f"{place}: belongs to another backbone than {path}: expected {excerpt(dict(provenance), 200)}, found "
            f"{excerpt(facts['provenance'], 200)}; copy both files of one run"
        )
    try:
        masking = registry.load("masking", of("masking", str))
        settings = from_dict(masking.Settings, of("masking_settings", dict))
    except AsitError as error:
        raise error if str(error).startswith(where) else AsitError(f"{where}: {error}; {model_file.REMEDY}") from None
    width, embed, bottleneck = backbone.embed_dim, backbone.patch_embed, of("bottleneck", int)
    with torch.device("meta"):  # the file's own number is not to be trusted with memory
        expected = ReconstructionHead(width, width, bottleneck, embed.patch, embed.stride).state_dict()
    differing = sorted(name for name in expected.keys() | tensors.keys() if not fits(name, expected, tensors))
    if differing:
        raise AsitError(f"{place}: '{excerpt(differing[0])}' does not fit the backbone; {model_file.REMEDY}")
    head = ReconstructionHead(width, width, bottleneck, embed.patch, embed.stride)
    head.load_state_dict(tensors)
    return Heads(head.eval(), lambda clips, generator: masking.corrupt(clips, settings, generator))
