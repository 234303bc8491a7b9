"""transformers: a folder for ``ViTModel.from_pretrained(...)``, and where it fits a front end, ``ASTFeatureExtractor``.

``ASTModel`` is no place for an ASiT: it has a distillation token beside the class token, which every patch attends to,
so it gives other numbers whatever its weights are. ``ViTModel`` is the same network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from asit.config import Options
from asit.export import parts
from asit.export.facts import described
from asit.features.fbank import FbankSettings
from asit.layers.block import LAYER_NORM_EPS
from asit.models.vit import MLP_RATIO
from asit.runs.model import Model

NAMES = {  # timm's -> those of checkpoints of transformers, of any version
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attn.proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
OUTSIDE = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
    "norm.weight": "layernorm.weight",
    "norm.bias": "layernorm.bias",
}
FREE = ("channel", "num_mel_bins", "subtract_mean", "dither_seed")  # of ASTFeatureExtractor, or of no effect here


@dataclass(frozen=True)
class Settings(Options):
    """transformers' ViTModel has nothing to choose."""


def export(model: Model, out: Path, settings: Settings) -> dict[str, Any]:
    """Write the weights, and the front end's settings, into a folder; returns config.json.

    Raises:
        AsitError: a network that transformers' ViTModel is not.
    """
    parts.save(out, renamed(parts.backbone(model, "hf")), model)
    front_end = extractor(model)
    if front_end:
        (out / "preprocessor_config.json").write_text(json.dumps(front_end, indent=2) + "\n", encoding="utf-8")
    return {
        "model_type": "vit",
        "architectures": ["ViTModel"],
        "hidden_size": model.dim,
        "num_hidden_layers": parts.depth(model),
        "num_attention_heads": model.heads,
        "intermediate_size": int(model.dim * MLP_RATIO),
        "hidden_act": "gelu",
        "layer_norm_eps": LAYER_NORM_EPS,
        "qkv_bias": True,
        "num_channels": 1,
        "image_size": list(model.backbone.input_size),
        "patch_size": list(model.backbone.patch_embed.patch),
        "id2label": {str(number): label for number, label in enumerate(model.labels)},
        "label2id": {label: number for number, label in enumerate(model.labels)},
        "asit": described(model),
    }


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights by timm's names -> by those of transformers; queries, keys and values become three."""
    found = {}
    for name, value in state.items():
        if name in OUTSIDE:
            found[OUTSIDE[name]] = value
            continue
        _, number, part = name.split(".", 2)
        layer, (part, _, kind) = f"encoder.layer.{number}", part.rpartition(".")
        if part == "attn.qkv":
            for one, piece in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[f"{layer}.attention.attention.{one}.{kind}"] = piece.contiguous()
        else:
            found[f"{layer}.{NAMES[part]}.{kind}"] = value
    return found


def extractor(model: Model) -> dict[str, Any] | None:
    """The settings of ASTFeatureExtractor that make the model's features, None where there are none: it knows 16 kHz,
    frames of 25 ms each 10 ms, and no mean normalisation."""
    own, usual, stats = model.fbank.settings, FbankSettings(), model.front_end.stats
    if any(getattr(own, name) != getattr(usual, name) for name in vars(usual) if name not in FREE):
        return None
    return {
        "feature_extractor_type": "ASTFeatureExtractor",
        "sampling_rate": own.sample_rate,
        "num_mel_bins": own.num_mel_bins,
        "max_length": model.frames,
        "do_normalize": True,
        "mean": stats.mean,
        "std": stats.std,
        "padding_value": 0.0,
        "return_attention_mask": False,
    }
