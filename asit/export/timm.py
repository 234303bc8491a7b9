"""timm: a folder for ``timm.create_model("local-dir:...", pretrained=True)``, or for a model hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asit.config import Options
from asit.export import parts
from asit.export.facts import described
from asit.models.vit import MLP_RATIO
from asit.runs.model import Model


@dataclass(frozen=True)
class Settings(Options):
    """timm's VisionTransformer has nothing to choose."""


def export(model: Model, out: Path, settings: Settings) -> dict[str, Any]:
    """Write the weights into a folder; returns config.json.

    Raises:
        AsitError: a network that timm's VisionTransformer is not.
    """
    parts.save(out, parts.backbone(model, "timm"), model)
    stats, size = model.front_end.stats, list(model.backbone.input_size)
    pooling = {"mean": "avg", "cls": "token"}[model.network.settings.pooling]
    return {
        "architecture": "vit_base_patch16_224",  # all that differs from it is in model_args
        "num_classes": 0,
        "num_features": model.dim,
        "global_pool": pooling,
        "model_args": {
            "img_size": size,
            "patch_size": list(model.backbone.patch_embed.patch),
            "in_chans": 1,
            "num_classes": 0,
            "global_pool": pooling,
            "fc_norm": False,
            "embed_dim": model.dim,
            "depth": parts.depth(model),
            "num_heads": model.heads,
            "mlp_ratio": MLP_RATIO,
        },
        "pretrained_cfg": {
            "num_classes": 0,
            "input_size": [1, *size],
            "fixed_input_size": True,
            "mean": [stats.mean],
            "std": [2 * stats.std],
            "first_conv": "patch_embed.proj",
            "classifier": "head",
            "license": model.metadata.get("licence", ""),
        },
        "label_names": model.labels,
        "asit": described(model),
    }
