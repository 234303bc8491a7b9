"""Model files: from a pretrained backbone to a fine-tuned model that carries all it needs for raw audio."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asit import registry
from asit.config import from_dict, load, to_dict
from asit.data.dataset import SILENCE
from asit.errors import AsitError
from asit.features.fbank import FbankSettings
from asit.features.stats import Stats
from asit.io import model_file
from asit.layers.pos_embed import fit_positions
from asit.train.classifier import Classifier, HeadSettings


@dataclass(frozen=True)
class FrontEnd:
    """From waveform to network input: filter bank, and (value - mean) / (2 std)."""

    fbank: FbankSettings
    stats: Stats

    def normalise(self, feats: np.ndarray) -> np.ndarray:
        """Log-mel features to network input, float32, any shape."""
        return ((feats - self.stats.mean) / (2.0 * self.stats.std)).astype(np.float32)

    @property
    def silence(self) -> float:
        """The padding value: digital silence after normalisation."""
        return (SILENCE - self.stats.mean) / (2.0 * self.stats.std)


@dataclass(frozen=True)
class Backbone:
    """A backbone as pretraining left it: weights (or fresh ones) and what belongs to them."""

    module: nn.Module
    model: str
    settings: dict[str, Any]
    frames: int
    front_end: FrontEnd
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainedModel:
    """A fine-tuned classifier with its task, labels and front end."""

    classifier: Classifier
    task: Any
    task_name: str
    front_end: FrontEnd
    frames: int
    tags: dict[str, str]
    metadata: dict[str, Any]
    path: str


def load_backbone(path: str, *, from_scratch: bool, drop_path: float | None, crop_frames: int) -> Backbone:
    """The backbone of ``backbone.safetensors``, its position table fitted to crops of ``crop_frames`` (0: as it is).

    With ``from_scratch`` only architecture, front end and statistics are taken and the weights are drawn anew, so
    that two runs differ in nothing else.

    Raises:
        AsitError: not a backbone file, or weights that do not fit its settings.
    """
    tensors, metadata = model_file.load(path)
    _expect_kind(path, metadata, "backbone", "give the backbone.safetensors of a pretraining run")
    module = registry.load("models", metadata["model"])
    settings = _model_settings(module.Settings, metadata)
    if drop_path is not None:
        settings = dataclasses.replace(settings, drop_path=drop_path)
    frames = crop_frames or metadata["frames"]
    backbone = module.build(settings, frames, metadata["mels"])
    if not from_scratch:
        pretrained = module.build(settings, metadata["frames"], metadata["mels"])
        _load_weights(pretrained, tensors, path)
        state = pretrained.state_dict()
        state["pos_embed"] = fit_positions(state["pos_embed"], pretrained.grid, backbone.grid, settings.position_fit)
        backbone.load_state_dict(state)
    return Backbone(
        backbone, metadata["model"], to_dict(settings), frames, _front_end(metadata), metadata.get("provenance", {})
    )


def save_model(
    path: str,
    classifier: Classifier,
    backbone: Backbone,
    task: Any,
    task_name: str,
    *,
    tags: Mapping[str, str],
    facts: Mapping[str, Any],
) -> None:
    """Write ``model.safetensors``: weights, front end, mean and std, label list, task, pooling, tags, provenance."""
    metadata = {
        "kind": "classifier",
        "model": backbone.model,
        "model_settings": backbone.settings,
        "frames": backbone.frames,
        "mels": backbone.front_end.fbank.dim,
        "front_end": to_dict(backbone.front_end.fbank),
        "stats": dataclasses.asdict(backbone.front_end.stats),
        "task": task_name,
        "task_settings": to_dict(task.settings),
        "head": to_dict(classifier.settings),
        "labels": task.labels,
        "tags": dict(tags),
        "pretraining": backbone.provenance,
        **facts,
    }
    model_file.save(path, {k: v.detach().cpu().contiguous() for k, v in classifier.state_dict().items()}, metadata)


def load_model(path: str, device: torch.device | None = None) -> TrainedModel:
    """Read ``model.safetensors``.

    Raises:
        AsitError: not a fine-tuned model, or weights that do not fit its settings.
    """
    tensors, metadata = model_file.load(path)
    _expect_kind(path, metadata, "classifier", "give the model.safetensors of asit-finetune")
    module = registry.load("models", metadata["model"])
    settings = _model_settings(module.Settings, metadata)
    backbone = module.build(settings, metadata["frames"], metadata["mels"])
    component = registry.load("tasks", metadata["task"])
    task = component.Task(from_dict(component.Settings, metadata["task_settings"]), metadata["labels"])
    classifier = Classifier(backbone, task.num_outputs, from_dict(HeadSettings, metadata["head"]))
    _load_weights(classifier, tensors, path)
    classifier.eval().to(device or torch.device("cpu"))
    return TrainedModel(
        classifier,
        task,
        metadata["task"],
        _front_end(metadata),
        metadata["frames"],
        metadata.get("tags", {}),
        metadata,
        path,
    )


def check_front_end(front_end: FrontEnd, data_dir: str, owner: str) -> None:
    """Features of ``data_dir`` must have been made with the model's front end.

    Args:
        owner: the model's file, for the message.

    Raises:
        AsitError: ``conf/fbank.yaml`` is missing or differs; names the option, the expected and the found value.
    """
    path = os.path.join(data_dir, "conf", "fbank.yaml")
    found = to_dict(load(FbankSettings, path))
    for name, expected in to_dict(front_end.fbank).items():
        if found[name] != expected:
            raise AsitError(
                f"{path}: front end differs from that of {owner}: option '{name}': expected {expected}, "
                f"found {found[name]}; extract the features again with the model's options"
            )


def _model_settings(kind: type, metadata: Mapping[str, Any]) -> Any:
    """The architecture. Files of earlier versions name a kernel of attention besides, which changed no result."""
    return from_dict(kind, {name: value for name, value in metadata["model_settings"].items() if name != "attention"})


def _front_end(metadata: Mapping[str, Any]) -> FrontEnd:
    stats = metadata["stats"]
    return FrontEnd(from_dict(FbankSettings, metadata["front_end"]), Stats(**stats))


def _expect_kind(path: str, metadata: Mapping[str, Any], kind: str, remedy: str) -> None:
    found = metadata.get("kind", "nothing")
    if found != kind:
        raise AsitError(f"{path}: expected a file of kind '{kind}', found '{found}'; {remedy}")


def _load_weights(module: nn.Module, tensors: Mapping[str, Tensor], path: str) -> None:
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise AsitError(f"{path}: the weights do not fit the settings stored beside them: {reason}") from None
