"""Fine-tuning from a data directory and a backbone to ``model.safetensors``."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from asit.config import REQUIRED, Chosen, Options, chosen, group, option
from asit.data.clips import ClipSettings
from asit.errors import AsitError
from asit.features.stats import Stats
from asit.models.classifier import Classifier, HeadSettings
from asit.models.shipped import located
from asit.models.trained import check_front_end, load_backbone, network_of, save_model
from asit.recipes.provenance import provenance
from asit.recipes.record import parse_tags
from asit.runs.material import LabelledClips, material
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
    init: str = option(
        REQUIRED,
        "backbone.safetensors, weights that ship, or a fine-tuned model, whose head is left: architecture, front end, "
        "mean and std, and weights",
        free=True,
    )
    from_scratch: bool = option(False, "start from random weights; all else still comes from the file")
    train_stats: bool = option(
        False, "normalise with <train-dir>/stats.yaml instead of the backbone's mean and deviation (AST, EAT)"
    )
    crop_frames: int = option(0, "frames of a training crop and of a scoring window; 0: as in pretraining", least=0)
    time_stride: int = option(
        0,
        "frames between two time steps; 0: as in the backbone's file; fewer than a patch has: patches overlap, and the "
        "positions are interpolated",
        least=0,
    )
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
        time_stride=settings.time_stride,
    )
    if settings.train_stats:
        stats = Stats.load(Path(settings.train_dir) / "stats.yaml")
        backbone = dataclasses.replace(backbone, front_end=dataclasses.replace(backbone.front_end, stats=stats))
    for path in filter(None, (settings.valid_dir, settings.train_dir)):
        heard = check_front_end(backbone.front_end, path, settings.init)
    fbank = dataclasses.replace(backbone.front_end.fbank, channel=heard.channel)  # the recipe's, not the backbone's
    backbone = dataclasses.replace(backbone, front_end=dataclasses.replace(backbone.front_end, fbank=fbank))
    of = material(settings, backbone)
    task, sets = of.task, of.sets
    run.draw(*of.drawn())
    if run.is_finished(
        MODEL,
        backbone=run_dir.file_digest(located(settings.init)),
        **{f"{name}_data": clips.digest() for name, clips in sets.items()},
        stats=dataclasses.asdict(backbone.front_end.stats),
    ):
        return
    torch.manual_seed(derive(train.seed, "head"))
    classifier = network_of(task, backbone.module, settings.head)
    stats, steps = backbone.front_end.stats, run.steps
    learner = of.tuner(
        classifier,
        task,
        settings.tuner,
        mean=stats.mean,
        std=stats.std,
        steps=steps,
        steps_per_epoch=run.plan.steps_per_epoch,
    )
    best = BestWeights(task.metrics[0])
    validation = Validation(settings, of, learner, best, steps)
    if run.place.main:
        of.write_left_out(run.out_dir)
    run.train(
        learner,
        sets["train"],
        of.collate,
        groups=param_groups(classifier, settings.layer_decay, classifier.backbone.num_layers),
        extras={"best": best},
        epoch_end=validation if "valid" in sets else None,
    )
    if run.place.main:
        kept = _kept_weights(learner, best, "valid" in sets, settings.valid_dir)
        facts = {
            "train_clips": len(sets["train"]),
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
        self, settings: Settings, of: LabelledClips, learner: FineTuner, best: BestWeights, steps: int
    ) -> None:
        self.settings, self.of = settings, of
        self.learner, self.best, self.steps = learner, best, steps
        self._last = 0

    def __call__(self, epoch: int, step: int) -> dict[str, float]:
        """The metrics of the evaluated weights after update ``step``; {} when no validation is due."""
        every, before = self.settings.eval_every, self._last
        self._last = step
        if every and step < self.steps and step // every == before // every:
            return {}
        module = self.learner.evaluated().eval()
        values, metric = self.of.measure(module), self.best.metric
        value = values[metric.name]
        best = " (best)" if self.best.offer(step, value, module) else ""
        log.info("valid after %d updates: %s %s%s", step, metric.name, metric.text(value, more=1), best)
        return values


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
