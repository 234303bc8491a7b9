"""Model files of untrained networks, quickly made: a classifier, a recogniser, a detector, and a
backbone with square patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from asit.config import to_dict
from asit.features.fbank import FbankSettings
from asit.models import model_file, vit
from asit.models.classifier import Classifier, HeadSettings
from asit.models.trained import load_backbone, save_model
from asit.tasks import classification, ctc, sed

LABELS = ["cat", "dog", "owl"]


def make_classifier(path: Path, init: str = "asit-tiny", spread: float = 1.0, **head: Any) -> str:
    """asit-tiny, or another backbone, with a head drawn at random; a small spread leaves all classes probable."""
    torch.manual_seed(0)
    backbone = load_backbone(init, from_scratch=False, drop_path=0.0, crop_frames=0)
    task = classification.Task(classification.Settings(), LABELS)
    classifier = Classifier(backbone.module, len(LABELS), HeadSettings(**{"pool_slices": 2, **head}))
    torch.nn.init.normal_(classifier.head.weight, std=spread)
    torch.nn.init.normal_(classifier.norm.bias)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(str(path), classifier, backbone, task, "classification", tags={"seed": "0", "task": "sounds"}, facts={})
    return str(path)


def make_recogniser(path: Path) -> str:
    """asit-tiny with a head drawn at random: its words mean nothing, but they depend on what it hears."""
    return _over_time(path, ctc.Task(ctc.Settings(), ["<blank>", "<unk>", "\u2581", *"abcdefgh"]), 1.0)


def make_detector(path: Path) -> str:
    """asit-tiny with a head drawn at random: its events mean nothing, but they depend on what it hears."""
    return _over_time(path, sed.Task(sed.Settings(), ["high", "low", "mid"]), 0.3)


def _over_time(path: Path, task: Any, spread: float) -> str:
    torch.manual_seed(0)
    backbone = load_backbone("asit-tiny", from_scratch=False, drop_path=0.0, crop_frames=0)
    network = task.network(backbone.module, HeadSettings())
    torch.nn.init.normal_(network.head.weight, std=spread)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(str(path), network, backbone, task, task.name, tags={}, facts={})
    return str(path)


def make_square(path: Path, front_end: FbankSettings | None = None, **options: Any) -> str:
    """Patches of 16 x 16, four bands of them; the front end of asit-tiny or another, options of the network."""
    torch.manual_seed(0)
    settings = {"embed_dim": 24, "depth": 2, "heads": 2, "patch": (16, 16), **options}
    facts = model_file.load_metadata("asit-tiny") | {"model_settings": settings, "frames": 64}
    if front_end:
        facts |= {"front_end": to_dict(front_end), "mels": front_end.dim}
    network = vit.build(vit.Settings(**settings), 64, facts["mels"])
    model_file.save(path, network.state_dict(), facts)
    return str(path)
