"""A small labelled corpus of synthetic features and a backbone file, as the stages before would leave them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml

from asit.config import to_dict
from asit.features.fbank import FbankSettings
from asit.kaldi.ark import ArkWriter
from asit.kaldi.data_dir import write_data_dir
from asit.kaldi.table import write_table
from asit.models import model_file, vit
from asit.runs.evaluate import Settings as EvaluateSettings
from asit.runs.finetune import Settings as FinetuneSettings
from asit.train.settings import TrainSettings

MELS, FRAMES = 8, 32
FBANK = FbankSettings(num_mel_bins=MELS)
VIT = vit.Settings(size="tiny", embed_dim=24, depth=2, heads=2, patch=(4, 0), drop_path=0.0)
LABELS = ["alfa", "bravo", "charlie"]
MEAN, STD = -6.0, 4.0


@dataclass(frozen=True)
class Corpus:
    root: Path
    init: str

    def path(self, name):
        return str(self.root / "data" / name)

    def finetune_settings(self, out_dir, seed=0, restart_changed=False, **options):
        train = TrainSettings(
            steps=60,
            restart_changed=restart_changed,
            batch_size=12,
            lr=3e-3,
            warmup=5,
            weight_decay=(0.04,),
            last_batch="keep",
            num_workers=0,
            ngpu=0,
            threads=1,
            seed=seed,
            tensorboard=False,
            log_every=30,
        )
        options = {"train_dir": self.path("train"), "valid_dir": self.path("valid"), **options}
        return FinetuneSettings(out_dir=str(out_dir), init=self.init, eval_every=9, train=train, **options)

    def evaluate_settings(self, trained):
        return EvaluateSettings(
            model=str(trained / "model.safetensors"),
            data_dir=self.path("test"),
            out_dir=str(trained / "test"),
            ngpu=0,
            threads=1,
        )


def write_set(root, name, count, seed, labels=LABELS, fbank=FBANK):
    """Clips of 10 to 80 frames whose class raises the level of one mel bin."""
    rng = np.random.default_rng(seed)
    folder = root / "data" / name
    feats, utt2label = {}, {}
    for i in range(count):
        kind = i % len(labels)
        x = rng.normal(MEAN, STD, (int(rng.integers(10, 80)), fbank.num_mel_bins))
        x[:, kind] += 3 * STD
        feats[f"spk{kind}-{i:03d}"], utt2label[f"spk{kind}-{i:03d}"] = x.astype(np.float32), labels[kind]
    with ArkWriter(folder / "raw.ark", folder / "raw.scp") as writer:
        for utt in sorted(feats):
            writer.write(utt, feats[utt])
    utt2spk = {utt: utt[:4] for utt in feats}
    write_data_dir(folder, {"utt2spk": utt2spk, "utt2label": utt2label})
    (folder / "raw.scp").rename(folder / "feats.scp")
    write_table(folder / "utt2num_frames", {utt: str(len(x)) for utt, x in feats.items()})
    (folder / "labels.txt").write_text("".join(f"{label} {i}\n" for i, label in enumerate(labels)))
    (folder / "conf").mkdir()
    (folder / "conf" / "fbank.yaml").write_text(yaml.safe_dump(to_dict(fbank)))
    return folder


def build_corpus(root, labels=LABELS):
    for name, count, seed in (("train", 36, 0), ("valid", 18, 1), ("test", 24, 2)):
        write_set(root, name, count, seed, labels)
    torch.manual_seed(0)
    backbone = vit.build(VIT, FRAMES, MELS)
    metadata = {
        "kind": "backbone",
        "model": "vit",
        "model_settings": to_dict(VIT),
        "frames": FRAMES,
        "mels": MELS,
        "front_end": to_dict(FBANK),
        "stats": {"mean": MEAN, "std": STD, "frames": 1000},
        "provenance": {"steps": 0},
    }
    model_file.save(root / "backbone.safetensors", backbone.state_dict(), metadata)
    return Corpus(root, str(root / "backbone.safetensors"))
