"""Parameter names of the authors' released checkpoints, both variants, and ours.

Official files prefix the student's names with ``module.``; the map below works on names without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from asit.errors import AsitError

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
