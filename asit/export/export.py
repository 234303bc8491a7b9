"""A model's file, config.json and labels.txt in the format of another library."""

from __future__ import annotations

import json
from dataclasses import dataclass

from asit import registry
from asit.config import REQUIRED, Chosen, Options, chosen, option
from asit.errors import AsitError
from asit.io.atomic import atomic_folder
from asit.runs.model import Model


@dataclass(frozen=True)
class ExportSettings(Options):
    """Write a model for another library: ONNX, TorchScript, timm or transformers."""

    model: str = option(REQUIRED, "model.safetensors, backbone.safetensors, asit-tiny")
    out: str = option(REQUIRED, "folder to make")
    to: Chosen = chosen(
        "export", "onnx", "onnx and torchscript: all of the model; timm and hf (transformers): its backbone and head"
    )


def export(settings: ExportSettings) -> list[str]:
    """Write the folder; returns the names of its files.

    Raises:
        AsitError: a model that the format cannot hold or that answers at every time step, a folder that is there
            already, or a package that is missing.
    """
    model = Model(settings.model)
    if model.task and model.task.table != "utt2label":
        raise AsitError(
            f"{settings.model}: expected a backbone or a classifier of clips, found task '{model.task.name}'"
        )
    with atomic_folder(settings.out) as folder:
        config = registry.load("export", settings.to.name).export(model, folder, settings.to.settings)
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        (folder / "config.json").write_text(text, encoding="utf-8")
        if model.labels:
            (folder / "labels.txt").write_text("".join(f"{label}\n" for label in model.labels), encoding="utf-8")
        return sorted(path.name for path in folder.iterdir())
