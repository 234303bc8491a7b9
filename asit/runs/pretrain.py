"""Pretraining from a data directory to ``backbone.safetensors``."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from asit import registry
from asit.config import Chosen, Options, chosen, group, option, to_dict
from asit.data.crops import Crops, CropSettings, collate_crops
from asit.data.features import Features
from asit.errors import AsitError, excerpt
from asit.features.picture import Axes
from asit.models import heads, model_file
from asit.models.shipped import located
from asit.models.trained import check_front_end, fits, load_backbone
from asit.recipes import job_list
from asit.seeding import derive
from asit.train import run_dir
from asit.train.run import opened
from asit.train.run_log import FEWEST
from asit.train.settings import TrainSettings

log = logging.getLogger(__name__)
SMALL_POOL_HOURS = 10.0
FEW_PROTOTYPES = 1024  # published: 8192; with so many the teacher of a small pool stays almost uniform
MUCH_PADDING = 0.05
BACKBONE = "backbone.safetensors"


@dataclass(frozen=True)
class PretrainSettings(Options):
    """Pretrain a backbone on the clips of a data directory, without labels."""

    data_dir: str = option("data/pool", "data directory with feats.scp, conf/fbank.yaml and stats.yaml", free=True)
    out_dir: str = option("exp/pretrain", "where checkpoints, logs and backbone.safetensors go", free=True)
    init: str = option(
        "",
        "backbone to go on from, a file or the name of weights that ship, made with the same network and front end; "
        "the heads begin from random weights",
        free=True,
    )
    export: str = option("teacher", "which network becomes backbone.safetensors", ("teacher", "student"), free=True)
    method: Chosen = chosen("methods", "asit", "pretraining method")
    crops: CropSettings = group(CropSettings)
    train: TrainSettings = group(TrainSettings)


def pretrain(settings: PretrainSettings) -> None:
    """Train (or continue, or find finished) the run in ``settings.out_dir``.

    Raises:
        AsitError: see the parts.
        SystemExit: 85 when stopped by a signal, with everything saved.
    """
    with opened(settings) as run:
        features = Features(settings.data_dir)
        crops = Crops(features, settings.crops, settings.train.seed)
        run.draw(len(crops), crops.weights)
        imagenet = getattr(settings.method.settings, "imagenet", None)
        files = {"imagenet": run_dir.file_digest(imagenet)} if imagenet else {}
        if settings.init:
            files["backbone"] = run_dir.file_digest(located(settings.init))
        if run.is_finished(BACKBONE, {"export": settings.export}, data=features.digest(), **files):
            return
        for message in worries(settings, crops, run.steps):
            log.warning("%s", message)
        torch.manual_seed(derive(settings.train.seed, "init"))
        learner = build_learner(settings, features.num_mels, run.steps, run.plan.steps_per_epoch)
        if settings.init:
            go_on_from(settings.init, learner, settings)
        learner.axes = Axes.of(features.front_end, features.num_mels)
        run.train(learner, crops, collate_crops)
        if run.place.main:
            _export(learner, features, settings, run.steps)
            run.finish(export=settings.export)


def build_learner(settings: PretrainSettings, mels: int, steps: int, steps_per_epoch: int) -> Any:
    """The method's learner for these crops.

    Raises:
        AsitError: sizes that do not fit each other, or of which no network can be made.
    """
    build = registry.load("methods", settings.method.name).build
    try:
        frames = settings.crops.global_frames
        return build(settings.method.settings, frames=frames, mels=mels, steps=steps, steps_per_epoch=steps_per_epoch)
    except (RuntimeError, MemoryError, OverflowError, TypeError, ValueError) as error:
        raise AsitError(
            f"no network of these sizes can be made: {excerpt(error, 200)}; lower --embed-dim, --depth or the sizes of "
            "the heads"
        ) from None


def go_on_from(init: str, learner: Any, settings: PretrainSettings) -> None:
    """Give student and teacher the weights of a backbone, with its positions fitted to the crops of this run.

    Raises:
        AsitError: no backbone, another network (names the option, the expected and the found value), or another front
            end than that of the features.
    """
    found = load_backbone(init, from_scratch=False, drop_path=None, crop_frames=settings.crops.global_frames)
    check_front_end(found.front_end, settings.data_dir, init)
    ours = learner.backbone("student").state_dict()
    theirs = found.module.state_dict()
    differing = sorted(name for name in ours.keys() | theirs.keys() if not fits(name, ours, theirs))
    if differing or settings.method.settings.model.name != found.model:
        own = to_dict(settings.method.settings.model.settings)
        options = {name: value for name, value in found.settings.items() if own.get(name) != value}
        _, _, words = job_list.line("asit-pretrain", options).partition(" ")
        raise AsitError(
            f"{init}: its network is not that of this run: {len(differing)} of its arrays differ, such as "
            f"'{differing[0] if differing else 'all'}'; it has {words}"
        )
    for which in ("student", "teacher"):
        learner.backbone(which).load_state_dict(theirs)
    log.info("going on from %s: %s", init, ", ".join(f"{k} {v}" for k, v in found.provenance.items() if v))


def worries(settings: PretrainSettings, crops: Crops, steps: int) -> list[str]:
    """What is known to make pretraining useless or harmful, found before it starts."""
    found = []
    if crops.hours < SMALL_POOL_HOURS and getattr(settings.method.settings, "prototypes", (0,))[0] > FEW_PROTOTYPES:
        found.append(
            f"the pool is {crops.hours:.2f} hours; under {SMALL_POOL_HOURS:g} the published settings learn little: "
            "use settings for a small corpus (full-band patches, small head, sharper teacher; egs/mini/conf)"
        )
    if crops.padded_share > MUCH_PADDING:
        found.append(
            f"{100 * crops.padded_share:.0f} % of the crops will be padded, a shortcut for the global loss: "
            "use --short-clips skip or a smaller --global-frames"
        )
    if steps < FEWEST:
        found.append(f"{steps} updates are planned; below about {FEWEST} pretraining tends to hurt: raise --steps")
    return found


def _export(learner: Any, features: Features, settings: PretrainSettings, steps: int) -> None:
    backbone = learner.backbone(settings.export)
    stats = features.stats
    place = Path(settings.out_dir) / BACKBONE
    provenance = {
        "method": settings.method.name,
        "network": settings.export,
        "steps": steps,
        "seed": settings.train.seed,
        "pool_hours": round(features.hours, 3),
        "data": features.digest(),
        **({"init": settings.init} if settings.init else {}),
    }
    if hasattr(learner, "reconstruction"):  # a method may have none
        masking = settings.method.settings.masking
        heads.save(place, learner.reconstruction(settings.export), masking, provenance)
    model_file.save(
        place,
        backbone.state_dict(),
        {
            "kind": "backbone",
            "model": settings.method.settings.model.name,
            "model_settings": to_dict(settings.method.settings.model.settings),
            "frames": settings.crops.global_frames,
            "mels": features.num_mels,
            "front_end": to_dict(features.front_end),
            "stats": {"mean": stats.mean, "std": stats.std, "frames": stats.frames},
            "provenance": provenance,
        },
    )
