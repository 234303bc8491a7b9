"""Pretraining from a data directory to ``backbone.safetensors``."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from asit import registry
from asit.config import Chosen, chosen, group, option, to_dict
from asit.data.collate import collate_crops
from asit.data.crops import CropDataset, CropSettings
from asit.data.dataset import FeatureDataset
from asit.data.loader import Batches
from asit.data.sampler import BatchPlan
from asit.errors import AsitError
from asit.features.mel import mel_centres
from asit.io import model_file
from asit.io.atomic import write_text
from asit.methods._pictures import Axes
from asit.seeding import derive
from asit.train import distributed, processes
from asit.train.caching import share_memory
from asit.train.checkpoint import DirLock
from asit.train.loop import Loop, check_identity
from asit.train.run_log import FEWEST, start_log
from asit.train.settings import TrainSettings, identity

log = logging.getLogger(__name__)
SMALL_POOL_HOURS = 10.0
MUCH_PADDING = 0.05
DONE = "done.json"


@dataclass(frozen=True)
class PretrainSettings:
    """Pretrain a backbone on the clips of a data directory, without labels."""

    data_dir: str = option("data/pool", "data directory with feats.scp, conf/fbank.yaml and stats.yaml")
    out_dir: str = option("exp/pretrain", "where checkpoints, logs and backbone.safetensors go")
    export: str = option("teacher", "which network becomes backbone.safetensors", ("teacher", "student"))
    method: Chosen = chosen("methods", "asit", "pretraining method")
    crops: CropSettings = group(CropSettings)
    train: TrainSettings = group(TrainSettings)


def pretrain(settings: PretrainSettings) -> None:
    """Train (or continue, or find finished) the run in ``settings.out_dir``.

    Raises:
        AsitError: see the parts.
        SystemExit: 85 when stopped by a signal, with everything saved.
    """
    processes.hold_lifeline()
    out_dir, train = Path(settings.out_dir), settings.train
    if finished(settings):
        return
    ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1")))
    threads = processes.use_threads(train.threads, ranks_here)
    place = distributed.join(train.ngpu)
    try:
        with DirLock(out_dir) if place.main else nullcontext():
            start_log(out_dir, place.main)
            log.info("%s", " ".join(sys.argv))
            log.info("%d process(es) on %s, %d CPU thread(s) each", place.size, place.device, threads)
            _run(settings, out_dir, place)
    finally:
        distributed.leave()


def _run(settings: PretrainSettings, out_dir: Path, place: distributed.Place) -> None:
    train = settings.train
    features = FeatureDataset(settings.data_dir)
    share_memory(features, train.cache)
    crops = CropDataset(features, settings.crops, train.seed)
    plan = BatchPlan(
        len(crops),
        batch_size=train.batch_size,
        seed=train.seed,
        accum=train.accum,
        world=place.size,
        rank=place.rank,
        weights=crops.weights,
        epoch_samples=train.epoch_samples,
        last_batch=train.last_batch,
    )
    steps = train.total_steps(plan.steps_per_epoch)
    for message in worries(crops, steps):
        log.warning("%s", message)
    torch.manual_seed(derive(train.seed, "init"))
    learner = registry.load("methods", settings.method.name).build(
        settings.method.settings,
        frames=settings.crops.global_frames,
        mels=features.num_mels,
        steps=steps,
        steps_per_epoch=plan.steps_per_epoch,
    )
    learner.axes = picture_axes(features)
    log.info("%d updates, %d an epoch, %d clips each", steps, plan.steps_per_epoch, plan.global_batch)
    if place.main:
        write_text(out_dir / "config.yaml", yaml.safe_dump(to_dict(settings), sort_keys=False))
    batches = Batches(
        crops,
        plan,
        collate_crops,
        num_workers=train.num_workers,
        prefetch=train.prefetch,
        pin=place.device.type == "cuda",
    )
    who = identity(settings, data=features.digest())
    Loop(learner, batches, train, out_dir, place=place, identity=who).run()
    if place.main:
        _export(learner, features, settings, out_dir, steps)
        write_text(
            out_dir / DONE, json.dumps({"steps": steps, "export": settings.export, "identity": identity(settings)})
        )
        log.info("finished: %s", out_dir / "backbone.safetensors")


def picture_axes(features: FeatureDataset) -> Axes:
    """Seconds and Hz of the features' frames and mel bins."""
    front_end = features.front_end
    hertz = mel_centres(front_end.num_mel_bins, front_end.low_freq, front_end.high_edge)
    return Axes(front_end.frame_shift / 1000, hertz if features.num_mels == len(hertz) else None)


def worries(crops: CropDataset, steps: int) -> list[str]:
    """What is known to make pretraining useless or harmful, found before it starts."""
    found = []
    if crops.hours < SMALL_POOL_HOURS:
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


def finished(settings: PretrainSettings) -> bool:
    """Whether this very run is done already.

    Raises:
        AsitError: a run with other settings is done in this directory.
    """
    path = Path(settings.out_dir) / DONE
    if not path.exists():
        return False
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        saved, exported = facts["identity"], facts["export"]
    except (ValueError, KeyError):
        raise AsitError(f"{path}: unreadable; remove it to train on") from None
    check_identity(path, saved, json.loads(json.dumps(identity(settings))))
    if exported != settings.export:
        return False
    print(f"{settings.out_dir}: finished already", file=sys.stderr)
    return True


def _export(learner: Any, features: FeatureDataset, settings: PretrainSettings, out_dir: Path, steps: int) -> None:
    backbone = learner.backbone(settings.export)
    stats = features.stats
    model_file.save(
        out_dir / "backbone.safetensors",
        backbone.state_dict(),
        {
            "kind": "backbone",
            "model": settings.method.settings.model.name,
            "model_settings": to_dict(settings.method.settings.model.settings),
            "frames": settings.crops.global_frames,
            "mels": features.num_mels,
            "front_end": to_dict(features.front_end),
            "stats": {"mean": stats.mean, "std": stats.std, "frames": stats.frames},
            "provenance": {
                "method": settings.method.name,
                "network": settings.export,
                "steps": steps,
                "seed": settings.train.seed,
                "pool_hours": round(features.hours, 3),
                "data": features.digest(),
            },
        },
    )
