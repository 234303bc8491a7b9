"""Fine-tuning from a data directory and a backbone to ``model.safetensors``."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asit import registry
from asit.config import REQUIRED, Chosen, Options, chosen, group, option
from asit.data.clips import Clips, ClipSettings, collate_clips
from asit.data.targets import MultiHot
from asit.errors import AsitError
from asit.features.stats import Stats
from asit.kaldi.data_dir import DataDir
from asit.models.classifier import Classifier, HeadSettings
from asit.models.shipped import located
from asit.models.trained import check_front_end, load_backbone, save_model
from asit.recipes.provenance import provenance
from asit.recipes.record import parse_tags
from asit.runs import windows
from asit.runs.windows import WindowSettings
from asit.seeding import derive
from asit.tasks.finetuner import FineTuner, FineTunerSettings
from asit.train import run_dir
from asit.train.param_groups import param_groups
from asit.train.run import Run, opened
from asit.train.selection import BestWeights
from asit.train.settings import TrainSettings

log = logging.getLogger(__name__)
MODEL = "model.safetensors"


@dataclass(frozen=True)
class Settings(Options):
    """Fine-tune a backbone on labelled clips; the validation set, where there is one, selects the weights."""

    train_dir: str = option(REQUIRED, "data directory to train on; its labels.txt lists the classes", free=True)
    valid_dir: str = option("", "data directory that selects the weights; empty: the last ones are kept", free=True)
    out_dir: str = option(REQUIRED, "where checkpoints, logs and model.safetensors go", free=True)
    init: str = option(REQUIRED, "backbone.safetensors: architecture, front end, mean and std, and weights", free=True)
    from_scratch: bool = option(False, "start from random weights; all else still comes from the file")
    train_stats: bool = option(
        False, "normalise with <train-dir>/stats.yaml instead of the backbone's mean and deviation (AST, EAT)"
    )
    crop_frames: int = option(0, "frames of a training crop and of a scoring window; 0: as in pretraining", least=0)
    drop_path: float | None = option(
        None, "stochastic depth of the last block; none: as in the backbone's file", least=0, below=1
    )
    layer_decay: float = option(1.0, "learning rate of a block over that of the next block", above=0, most=1)
    balance_classes: bool = option(False, "draw clips with replacement so that all classes are equally frequent")
    eval_every: int = option(0, "updates between validations, at ends of epochs; 0: after each epoch", least=0)
    tags: tuple[str, ...] = option(
        (), "name=value words for the report; task, system and seed have defaults", free=True
    )
    clips: ClipSettings = group(ClipSettings)
    task: Chosen = chosen("tasks", "classification", "kind of task")
    head: HeadSettings = group(HeadSettings)
    tuner: FineTunerSettings = group(FineTunerSettings)
    windows: WindowSettings = group(WindowSettings)
    train: TrainSettings = group(TrainSettings)

    def __post_init__(self) -> None:
        """Raises AsitError for a tag that is not name=value."""
        super().__post_init__()
        parse_tags(self.tags)


def finetune(settings: Settings) -> None:
    """Train (or continue, or find finished) the run in ``settings.out_dir``.

    Raises:
        AsitError: see the parts.
        SystemExit: 85 when stopped by a signal, with everything saved.
    """
    with opened(settings) as run:
        _finetune(settings, run)


def _finetune(settings: Settings, run: Run) -> None:
    train = settings.train
    torch.manual_seed(derive(train.seed, "weights"))
    backbone = load_backbone(
        settings.init,
        from_scratch=settings.from_scratch,
        drop_path=settings.drop_path,
        crop_frames=settings.crop_frames,
    )
    if settings.train_stats:
        stats = Stats.load(Path(settings.train_dir) / "stats.yaml")
        backbone = dataclasses.replace(backbone, front_end=dataclasses.replace(backbone.front_end, stats=stats))
    component = registry.load("tasks", settings.task.name)
    task = component.Task(settings.task.settings, list(DataDir(settings.train_dir).labels))
    sets = {}
    for name, path in (("train", settings.train_dir), ("valid", settings.valid_dir)):
        if path:
            check_front_end(backbone.front_end, path, settings.init)
            stats, frames = backbone.front_end.stats, backbone.frames
            sets[name] = Clips(path, task, stats, settings.clips.max_missing, frames=frames, seed=train.seed)
            log.info("%s: %d of %d clips of %s", name, len(sets[name]), sets[name].expected, path)
    targets = sets["train"].training_targets()
    run.draw(len(targets), class_weights(targets) if settings.balance_classes else None)
    if run.is_finished(
        MODEL,
        backbone=run_dir.file_digest(located(settings.init)),
        **{f"{name}_data": clips.digest() for name, clips in sets.items()},
        stats=dataclasses.asdict(backbone.front_end.stats),
    ):
        return
    torch.manual_seed(derive(train.seed, "head"))
    classifier = Classifier(backbone.module, task.num_outputs, settings.head)
    stats, steps = backbone.front_end.stats, run.steps
    learner = FineTuner(
        classifier,
        task,
        settings.tuner,
        mean=stats.mean,
        std=stats.std,
        steps=steps,
        steps_per_epoch=run.plan.steps_per_epoch,
    )
    best = BestWeights(task.metrics[0])
    validation = Validation(settings, task, backbone, sets.get("valid"), learner, best, steps)
    run.train(
        learner,
        sets["train"],
        collate_clips,
        groups=param_groups(classifier, settings.layer_decay, classifier.backbone.num_layers),
        extras={"best": best},
        epoch_end=validation if "valid" in sets else None,
    )
    if run.place.main:
        kept = _kept_weights(learner, best, "valid" in sets, settings.valid_dir)
        facts = {
            "train_clips": len(targets),
            "train_expected": sets["train"].expected,
            "provenance": provenance(),
            "steps": steps,
            "kept_step": best.step or steps,
            "valid": {best.metric.name: best.value} if best.step else {},
        }
        tags = {**_default_tags(settings), **parse_tags(settings.tags)}
        save_model(str(run.product), kept, backbone, task, settings.task.name, tags=tags, facts=facts)
        run.finish(tags=tags)


class Validation:
    """Called by the loop at the end of an epoch: scores the validation set when it is due, offers the weights."""

    def __init__(
        self,
        settings: Settings,
        task: Any,
        backbone: Any,
        clips: Clips | None,
        learner: FineTuner,
        best: BestWeights,
        steps: int,
    ) -> None:
        self.settings, self.task, self.backbone, self.clips = settings, task, backbone, clips
        self.learner, self.best, self.steps = learner, best, steps
        self._last = 0

    def __call__(self, epoch: int, step: int) -> dict[str, float]:
        """The metrics of the evaluated weights after update ``step``; {} when no validation is due."""
        every, before = self.settings.eval_every, self._last
        self._last = step
        if every and step < self.steps and step // every == before // every:
            return {}
        module = self.learner.evaluated().eval()
        scores = windows.score(
            module,
            self.task,
            self.clips.whole(),
            self.backbone.front_end,
            self.backbone.frames,
            self.settings.windows,
        )
        values, metric = self.task.measure(scores, self.clips.targets), self.best.metric
        value = values[metric.name]
        best = " (best)" if self.best.offer(step, value, module) else ""
        log.info("valid after %d updates: %s %s%s", step, metric.name, metric.text(value, more=1), best)
        return values


def class_weights(targets: np.ndarray | MultiHot) -> np.ndarray:
    """Sampling weights (clips,): 1 / class frequency; with several labels a clip their sum, as AST weights AudioSet.
    Clips without a label count as one class more.

    >>> class_weights(np.array([0, 0, 1])).tolist()
    [0.5, 0.5, 1.0]
    """
    if isinstance(targets, MultiHot):
        weights = targets.sums(1.0 / np.maximum(targets.counts(), 1))
    elif targets.ndim == 1:
        return 1.0 / np.bincount(targets)[targets]
    else:
        weights = (targets / np.maximum(targets.sum(axis=0), 1.0)).sum(axis=1)
    return np.where(weights > 0, weights, 1.0 / max(1, int((weights == 0).sum())))


def _kept_weights(learner: FineTuner, best: BestWeights, selected: bool, valid_dir: str) -> Classifier:
    kept = learner.evaluated()
    if not selected:
        what = "the weights of the last update are" if learner.averaged is None else "the average of the weights is"
        log.info("no validation set: %s kept", what)
    elif not best.weights:
        raise AsitError(
            f"{valid_dir}: {best.metric.name} was never defined, so no weights could be selected; check its labels"
        )
    else:
        kept.load_state_dict(best.weights)
        value = f"{best.metric.name} {best.metric.text(best.value, more=1)}"
        log.info("kept: the weights after update %d, %s on validation", best.step, value)
    return kept


def _default_tags(settings: Settings) -> dict[str, str]:
    return {
        "task": settings.task.name,
        "system": "from scratch" if settings.from_scratch else "pretrained",
        "seed": str(settings.train.seed),
    }
