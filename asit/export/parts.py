"""What libraries with vision transformers of their own take of a model: the backbone, and the head beside it.

None of their classifiers is asit's, which has a LayerNorm after the pooling as well as before it: timm has either, and
of transformers' ViTs none has both but AST, which has a second class token that every patch sees. So the backbone is
exported, exactly, and a fine-tuned model's head is a file of two layers.
"""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
from torch import Tensor

from asit.errors import AsitError
from asit.runs.model import Model

WEIGHTS, HEAD = "model.safetensors", "head.safetensors"


def depth(model: Model) -> int:
    """Blocks that the model goes through."""
    layer = model.network.settings.probe_layer
    return model.num_layers if layer is None else layer


def backbone(model: Model, library: str) -> dict[str, Tensor]:
    """Weights of the backbone, by timm's names.

    Raises:
        AsitError: another network than a ViT, overlapping patches, or a pooling that the library has not.
    """
    name, embed, head = model.metadata["model"], model.backbone.patch_embed, model.network.settings
    other = "choose --to onnx or torchscript"
    if name != "vit":
        raise AsitError(f"--to {library}: expected a network of kind 'vit', found '{name}'; {other}")
    if embed.patch != embed.stride:
        raise AsitError(
            f"--to {library}: expected patches side by side, as its ViT has them, found patches of {embed.patch} each "
            f"{embed.stride}; {other}"
        )
    if head.layers == "weighted":
        raise AsitError(f"--to {library}: expected the tokens of one layer, found a weighted sum of all; {other}")
    if head.pooling == "cls+mean" or head.pool_slices > 1:
        pooling = f"{head.pooling} over {head.pool_slices} stretches" if head.pool_slices > 1 else head.pooling
        raise AsitError(
            f"--to {library}: expected the pooling cls or mean, as its ViT has them, found {pooling}; {other}"
        )
    left_out = tuple(f"blocks.{number}." for number in range(depth(model), model.num_layers))
    state = model.backbone.state_dict()
    return {name: value.float().contiguous() for name, value in state.items() if not name.startswith(left_out)}


def save(out: Path, state: dict[str, Tensor], model: Model) -> None:
    """Write the weights, and of a fine-tuned model head.safetensors: a LayerNorm (eps 1e-6) and a linear layer."""
    safetensors.torch.save_file(state, str(out / WEIGHTS), {"format": "pt"})
    if model.labels:
        head = {f"norm.{name}": value for name, value in model.network.norm.state_dict().items()}
        head |= {f"head.{name}": value for name, value in model.network.head.state_dict().items()}
        safetensors.torch.save_file({name: value.float() for name, value in head.items()}, str(out / HEAD))
