"""docs/export.md: every block, in one process, by the libraries themselves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from real_libraries import library
from small_models import make_classifier

import asit
from asit.config import to_dict
from asit.features.fbank import FbankSettings
from asit.features.stats import Stats
from asit.kaldi.ark import ArkWriter
from asit.kaldi.data_dir import write_data_dir
from asit.kaldi.table import write_table

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def blocks(tmp_path, monkeypatch):
    """Runs the blocks of a section; names of Python's stay between them."""
    soundfile.write(tmp_path / "dog.wav", 0.1 * np.random.default_rng(0).normal(size=22050), 16000)
    make_classifier(tmp_path / "exp/task/model.safetensors", spread=0.05)
    make_classifier(tmp_path / "exp/plain/model.safetensors", spread=0.05, pool_slices=1)
    monkeypatch.chdir(tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    text = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    sections = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])

    def run(section: str, **names: Any) -> dict[str, Any]:
        for language, block in BLOCK.findall(sections[section]):
            if language == "sh":
                subprocess.run(["bash", "-euo", "pipefail", "-c", block], check=True, env={**os.environ, "PATH": path})
            else:
                exec(compile(block, f"docs/export.md: {section}", "exec"), names)
        return names

    return run


def test_onnx_and_torchscript(blocks) -> None:
    for name in ("onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="pip install -e '.[test]'")
    names = blocks("ONNX and TorchScript")
    model = asit.load("exp/task/model.safetensors")
    expected = dict(model.classify("dog.wav"))
    assert names["best"] == model.classify("dog.wav")[0][0]
    for found in (names["probabilities"][0], names["same_probabilities"][0].detach().numpy()):
        np.testing.assert_allclose(found, [expected[label] for label in model.labels], atol=1e-4)
    for found in (names["embedding"][0], names["same_embedding"][0].detach().numpy()):
        np.testing.assert_allclose(found, model.embed("dog.wav"), atol=1e-4)


def test_timm_and_transformers(blocks) -> None:
    library("timm")
    library("transformers")
    wave, rate = soundfile.read("dog.wav", dtype="float32")
    names = blocks("timm and transformers", wave=wave, rate=rate, torch=torch)
    model = asit.load("exp/plain/model.safetensors")
    for found in (names["pooled"], names["same_pooled"]):
        np.testing.assert_allclose(found.detach().numpy(), list(model.embeddings([names["crop"]])), atol=1e-4)
    expected = dict(model.classify_features([names["crop"]])[0])
    found = names["plain_probabilities"][0].detach().numpy()
    np.testing.assert_allclose(found, [expected[label] for label in model.labels], atol=1e-4)


def test_imagenet_start(blocks, tmp_path) -> None:
    timm = library("timm")
    folder, fbank = tmp_path / "data/pool", FbankSettings()
    feats = {f"clip-{i}": np.random.default_rng(i).normal(-6, 4, (200, fbank.dim)).astype(np.float32) for i in range(4)}
    with ArkWriter(folder / "feats.ark", folder / "feats.scp") as writer:
        for name, values in feats.items():
            writer.write(name, values)
    write_data_dir(folder, {"utt2spk": {name: name for name in feats}})
    write_table(folder / "utt2num_frames", {name: str(len(values)) for name, values in feats.items()})
    (folder / "conf").mkdir()
    (folder / "conf/fbank.yaml").write_text(yaml.safe_dump(to_dict(fbank)))
    Stats(-6.0, 4.0, 800).save(folder / "stats.yaml")
    blocks("From timm: an ImageNet start", timm=timm, torch=torch)
    model = asit.load("exp/from_pictures/backbone.safetensors")
    pictures = torch.load("vit.pth")["blocks.0.mlp.fc2.weight"]
    assert (model.backbone.blocks[0].mlp.fc2.weight - pictures).abs().max() < 0.1 * pictures.abs().max()
