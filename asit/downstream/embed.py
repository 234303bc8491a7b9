"""Clip embeddings to Kaldi archives: one vector an utterance, from a fine-tuned model or a bare backbone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from asit.config import REQUIRED, group, option
from asit.data.dataset import FeatureDataset
from asit.downstream import windows
from asit.downstream.model import check_front_end, load_backbone, load_model
from asit.downstream.windows import WindowSettings
from asit.io import model_file
from asit.io.ark import ArkWriter
from asit.train.classifier import Classifier, HeadSettings
from asit.train.distributed import pick_device
from asit.train.processes import use_threads


@dataclass(frozen=True)
class Settings:
    """Write clip embeddings of a data directory to embeddings.ark and embeddings.scp."""

    model: str = option(REQUIRED, "model.safetensors of asit-finetune or backbone.safetensors of asit-pretrain")
    data_dir: str = option(REQUIRED, "data directory with feats.scp and conf/fbank.yaml")
    out_dir: str = option(REQUIRED, "folder for embeddings.ark and embeddings.scp")
    pooling: str = option("mean", "of a bare backbone: class token, mean of patches, both", ["cls", "mean", "cls+mean"])
    probe_layer: int | None = option(None, "of a bare backbone: tokens after this many blocks; none: all")
    ngpu: int | None = option(None, "GPUs to use; 0: CPU; none: one if there is one, else CPU")
    threads: int = option(0, "CPU threads; 0: all cores")
    windows: WindowSettings = group(WindowSettings)


def embed(settings: Settings) -> int:
    """Write the embeddings; returns their number.

    Raises:
        AsitError: another front end than the model's, or features that cannot be read.
    """
    use_threads(settings.threads, 1)
    device = pick_device(settings.ngpu)
    if model_file.load_metadata(settings.model).get("kind") == "classifier":
        model = load_model(settings.model, device)
        classifier, front_end, frames = model.classifier, model.front_end, model.frames
    else:
        backbone = load_backbone(settings.model, from_scratch=False, drop_path=0.0, crop_frames=0)
        head = HeadSettings(pooling=settings.pooling, probe_layer=settings.probe_layer)
        classifier = Classifier(backbone.module, 2, head).eval().to(device)
        front_end, frames = backbone.front_end, backbone.frames
    check_front_end(front_end, settings.data_dir, settings.model)
    dataset = FeatureDataset(settings.data_dir, front_end.stats)
    feats = (dataset.read(i) for i in range(len(dataset)))
    with torch.inference_mode():
        vectors = windows.apply(classifier.embed, feats, front_end, frames, settings.windows, device)
    out = Path(settings.out_dir)
    with ArkWriter(out / "embeddings.ark", out / "embeddings.scp") as writer:
        for utt, vector in zip(dataset.utts, vectors, strict=True):
            writer.write(utt, vector)
    return len(vectors)
