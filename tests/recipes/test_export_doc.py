"""docs/export.md: every block, in one process, by the libraries themselves."""

from __future__ import annotations

import json
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
from real_libraries import INSTALL, library
from small_models import make_classifier

import asit
from asit.config import to_dict
from asit.features.fbank import FbankSettings
from asit.features.stats import Stats
from asit.kaldi.ark import ArkWriter
from asit.kaldi.data_dir import write_data_dir
from asit.kaldi.table import write_table
from asit.recipes import record
from asit.recipes.record import Record
from asit.tasks.classification import Task

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def blocks(tmp_path, monkeypatch):
    """Runs the blocks of a section; names of Python's stay between them."""
    soundfile.write(tmp_path / "dog.wav", 0.1 * np.random.default_rng(0).normal(size=22050), 16000)
    make_classifier(tmp_path / "exp/task/model.safetensors", spread=0.05)
    make_classifier(tmp_path / "exp/plain/model.safetensors", spread=0.05, pool_slices=1)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    sections = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])

    def run(section: str, **names: Any) -> dict[str, Any]:
        for language, block in BLOCK.findall(sections[section]):
            if language == "sh":
                subprocess.run(["bash", "-euo", "pipefail", "-c", block], check=True)
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


def test_pack(blocks, tmp_path) -> None:
    """As docs/export.md says, and by what the Hugging Face Hub itself reads of a card."""
    metrics = {"accuracy": 0.91234, "balanced_accuracy": float("nan")}
    record.save(
        "exp/task/test | a/metrics.json",
        Record({"task": "dogs"}, "accuracy", metrics, Task.metrics, 9, 10, intervals={"accuracy": [0.8, 0.95]}),
    )
    names = blocks("For a model hub")
    folder = tmp_path / "exp/hub/dogs-and-cats"
    assert names["packed_best"] == asit.load("exp/task/model.safetensors").classify("dog.wav", top_k=1)
    assert (folder / "model.safetensors").read_bytes() == Path("exp/task/model.safetensors").read_bytes()
    config = json.loads((folder / "config.json").read_text())
    assert (config["id2label"], config["asit"]["sample_rate"]) == ({"0": "cat", "1": "dog", "2": "owl"}, 16000)
    text = (folder / "README.md").read_text()
    assert "| test \\| a | accuracy in % | 91.2 | 80.0 to 95.0 | 9 of 10 |" in text
    assert "| free_spoken_digits | CC-BY-SA-4.0 | Zohar Jackson and others |" in text, "what the backbone has heard"
    hub = pytest.importorskip("huggingface_hub", reason=INSTALL)
    card = hub.ModelCard(text)
    assert (card.data.license, card.data.library_name, card.data.pipeline_tag) == (
        "cc-by-sa-4.0",
        "asit",
        "audio-classification",
    )
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value, result.dataset_name) == ("accuracy", 91.2, "dogs, test | a")


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
