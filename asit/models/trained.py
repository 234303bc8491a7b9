"""Model files: from a pretrained backbone to a fine-tuned model that carries all it needs for raw audio."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asit import registry
from asit.config import from_dict, load, to_dict
from asit.config.values import shown
from asit.errors import AsitError, excerpt
from asit.features.fbank import FbankSettings
from asit.features.stats import Stats
from asit.io import json_object
from asit.layers.pos_embed import fit_positions
from asit.models import former, model_file
from asit.models.classifier import Classifier, HeadSettings

IN_CLASSIFIER = "backbone."  # begins the names of a backbone's arrays in a fine-tuned model
MOST_FRAMES, MOST_MELS = 1_000_000, 10_000  # of a network's input: nearly three hours; a hundred times what is usual


@dataclass(frozen=True)
class FrontEnd:
    """From waveform to network input: filter bank, and (value - mean) / (2 std)."""

    fbank: FbankSettings
    stats: Stats

    def normalise(self, feats: np.ndarray) -> np.ndarray:
        """Log-mel features to network input, float32, any shape."""
        return self.stats.normalise(feats)

    @property
    def silence(self) -> float:
        """The padding value: silence after normalisation."""
        return (self.fbank.silence - self.stats.mean) / (2.0 * self.stats.std)


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


def load_backbone(
    path: str, *, from_scratch: bool, drop_path: float | None, crop_frames: int, time_stride: int = 0
) -> Backbone:
    """The backbone of ``backbone.safetensors``, or of a fine-tuned ``model.safetensors``, its position table fitted to
    crops of ``crop_frames`` and to patches every ``time_stride`` frames (0: as they are).

    With ``from_scratch`` only architecture, front end and statistics are taken and the weights are random, so
    that two runs differ in nothing else.

    Raises:
        AsitError: another kind of file, or weights that do not fit its settings.
    """
    tensors, metadata = model_file.load(path)
    _expect_kind(path, metadata, ("backbone", "classifier"), "give a pretraining run's backbone.safetensors")
    tuned = metadata["kind"] == "classifier"
    if tuned:  # its head is left: other labels are to be told apart
        tensors = {n.removeprefix(IN_CLASSIFIER): t for n, t in tensors.items() if n.startswith(IN_CLASSIFIER)}
    facts = _Facts(path, metadata)
    module, settings, front_end = facts.module, facts.settings, facts.front_end
    told = "pretraining" if tuned else "provenance"
    provenance = facts.of(told, dict) if told in metadata else {}
    if tuned:
        provenance = {**provenance, "fine_tuned": facts.of("task", str)}
    owed = ("licence", "corpora")  # what is made of these weights owes it to them; of random ones it does not
    if from_scratch:
        provenance = {name: value for name, value in provenance.items() if name not in owed}
    else:
        provenance = {**provenance, **{name: metadata[name] for name in owed if name in metadata}}
    facts.check_sizes(module.build, tensors)
    if drop_path is not None:
        settings = dataclasses.replace(settings, drop_path=drop_path)
    trained = settings
    if time_stride:
        settings = dataclasses.replace(settings, stride=(time_stride, settings.stride[1]))
    frames = crop_frames or facts.frames
    backbone = module.build(settings, frames, facts.mels)
    if not from_scratch:
        pretrained = module.build(trained, facts.frames, facts.mels)
        _load_weights(pretrained, tensors, path)
        state = pretrained.state_dict()
        state["pos_embed"] = fit_positions(state["pos_embed"], pretrained.grid, backbone.grid)
        backbone.load_state_dict(state)
    return Backbone(backbone, metadata["model"], to_dict(settings), frames, front_end, provenance)


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
    _expect_kind(path, metadata, ("classifier",), "give the model.safetensors of asit-finetune")
    facts = _Facts(path, metadata)
    with facts.named():
        component = registry.load("tasks", facts.of("task", str))
        labels = facts.of("labels", list)
        for label in labels:
            if not isinstance(label, str):
                raise AsitError(f"'labels': expected text, found {shown(label)}")
        task = component.Task(from_dict(component.Settings, facts.of("task_settings", dict)), labels)
        head = from_dict(HeadSettings, former.head(facts.of("head", dict)))
    tags = facts.of("tags", dict) if "tags" in metadata else {}
    for name in tags:
        json_object.member(tags, name, str, f"{path}: metadata: tags", model_file.REMEDY)
    if "train_clips" in metadata:
        facts.of("train_clips", int)

    def build(settings: Any, frames: int, mels: int) -> Classifier:
        return network_of(task, facts.module.build(settings, frames, mels), head)

    facts.check_sizes(build, tensors)
    classifier = build(facts.settings, facts.frames, facts.mels)
    _load_weights(classifier, tensors, path)
    classifier.eval().to(device or torch.device("cpu"))
    return TrainedModel(classifier, task, metadata["task"], facts.front_end, facts.frames, tags, metadata, path)


def network_of(task: Any, backbone: nn.Module, head: HeadSettings) -> Classifier:
    """The network of a task on a backbone: a classifier of clips, unless the task has another."""
    make = getattr(task, "network", None)
    return make(backbone, head) if make else Classifier(backbone, task.num_outputs, head)


def check_front_end(front_end: FrontEnd, data_dir: str, owner: str) -> FbankSettings:
    """Features of ``data_dir`` must have been made with the model's front end, of whatever channel; returns theirs.

    Args:
        owner: the model's file, for the message.

    Raises:
        AsitError: ``conf/fbank.yaml`` is missing or differs; names the option, the expected and the found value.
    """
    path = os.path.join(data_dir, "conf", "fbank.yaml")
    found = load(FbankSettings, path)
    for name, expected in front_end.fbank.of_one_channel.items():
        if getattr(found, name) != expected:
            raise AsitError(
                f"{path}: front end differs from that of {owner}: option '{name}': expected {expected}, "
                f"found {getattr(found, name)}; extract the features again with the model's options"
            )
    return found


class _Facts:
    """What the metadata of a model file must say, each checked before anything is built from it.

    Raises:
        AsitError: a missing member or one of another type, an unknown model, settings out of range, statistics that
            cannot normalise.
    """

    def __init__(self, path: str, metadata: dict[str, Any]) -> None:
        self.path, self.metadata = path, metadata
        with self.named():
            self.module = registry.load("models", self.of("model", str))
            self.settings = from_dict(self.module.Settings, former.model(self.of("model_settings", dict)))
            self.front_end = FrontEnd(from_dict(FbankSettings, self.of("front_end", dict)), self._stats())
        self.frames, self.mels = self.of("frames", int), self.of("mels", int)
        for name, most in (("frames", MOST_FRAMES), ("mels", MOST_MELS)):
            if not 1 <= metadata[name] <= most:
                raise self._wrong(f"'{name}': expected 1 to {most}, found {metadata[name]}")

    def of(self, name: str, kind: type) -> Any:
        """A member of the metadata."""
        return json_object.member(self.metadata, name, kind, f"{self.path}: metadata", model_file.REMEDY)

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Errors of the block begin with the file's name."""
        try:
            yield
        except AsitError as error:
            raise error if str(error).startswith(self.path) else self._wrong(str(error)) from None

    def check_sizes(self, build: Callable[..., nn.Module], tensors: Mapping[str, Tensor]) -> None:
        """The tensors of the file must be those of the network that its settings ask for, which is not built in memory
        before this is known: settings can ask for any amount of it."""
        depth = getattr(self.settings, "depth", 0)
        if depth > len(tensors):
            raise self._wrong(f"a depth of {depth}, and only {len(tensors)} tensors")
        with self.named():
            try:
                with torch.device("meta"):
                    expected = build(self.settings, self.frames, self.mels).state_dict()
            except (RuntimeError, ArithmeticError, ValueError, TypeError, MemoryError) as error:
                raise AsitError(f"sizes of which no network can be made: {excerpt(error, 200)}") from None
        names = sorted(expected.keys() | tensors.keys())
        differing = [name for name in names if not fits(name, expected, tensors)]
        if differing:
            raise AsitError(
                f"{self.path}: the weights do not fit the settings stored beside them: {len(differing)} differ, "
                f"such as '{excerpt(differing[0])}'; {model_file.REMEDY}"
            )

    def _stats(self) -> Stats:
        stats, where = self.of("stats", dict), f"{self.path}: metadata: stats"
        mean, std = (float(json_object.member(stats, n, float, where, model_file.REMEDY)) for n in ("mean", "std"))
        frames = json_object.member(stats, "frames", int, where, model_file.REMEDY)
        if not math.isfinite(mean) or not 0 < std < math.inf or len(stats) != 3:
            raise AsitError(f"'stats': expected mean, a positive std and frames, found {excerpt(stats)}")
        return Stats(mean, std, frames)

    def _wrong(self, problem: str) -> AsitError:
        return AsitError(f"{self.path}: metadata: {problem}; {model_file.REMEDY}")


def fits(name: str, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> bool:
    """Whether both have a tensor of this name, of one shape."""
    return name in expected and name in found and expected[name].shape == found[name].shape


def _expect_kind(path: str, metadata: Mapping[str, Any], kinds: tuple[str, ...], remedy: str) -> None:
    found = metadata.get("kind", "nothing")
    if found not in kinds:
        raise AsitError(f"{path}: expected a file of kind '{kinds[0]}', found '{excerpt(found)}'; {remedy}")


def _load_weights(module: nn.Module, tensors: Mapping[str, Tensor], path: str) -> None:
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise AsitError(f"{path}: the weights do not fit the settings stored beside them: {reason}") from None
