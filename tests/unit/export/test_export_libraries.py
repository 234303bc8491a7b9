"""What timm and transformers themselves make of exported folders, beside asit's own numbers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from real_libraries import library
from small_models import LABELS, make_classifier, make_square

import asit
from asit.config import from_dict
from asit.errors import AsitError
from asit.export.export import ExportSettings, export
from asit.features.fbank import FbankSettings

RATE = 16000
MODELS = {  # of one full window, as no library has asit's masks
    "tiny": lambda folder: "asit-tiny",
    "square": lambda folder: make_square(folder / "backbone.safetensors"),
    "cls": lambda folder: make_classifier(folder / "m.safetensors", spread=0.05, pooling="cls", pool_slices=1),
    "mean": lambda folder: make_classifier(
        folder / "m.safetensors", make_square(folder / "b.safetensors"), spread=0.05, pool_slices=1, probe_layer=1
    ),
}


def made(model: str, to: str, out: Path) -> dict:
    export(from_dict(ExportSettings, {"model": model, "to": to, "out": str(out)}))
    return json.loads((out / "config.json").read_text(encoding="utf-8"))


@pytest.fixture(params=MODELS)
def model(request, tmp_path) -> asit.Model:
    found = asit.load(MODELS[request.param](tmp_path))
    found.path = found._embedder.path
    return found


def wave(model: asit.Model, seed: int = 0) -> np.ndarray:
    """As long as a window."""
    samples = model.fbank.settings.window_size + (model.frames - 1) * model.fbank.settings.window_shift
    return (0.1 * np.random.default_rng(seed).normal(size=samples)).astype(np.float32)


def window(model: asit.Model, samples: np.ndarray) -> torch.Tensor:
    """Normalised features (1, 1, frames, F) by config.json's recipe."""
    return torch.from_numpy(model.front_end.normalise(model.features(samples, model.sample_rate)))[None, None]


def classes(folder: Path, embedding: torch.Tensor) -> np.ndarray:
    """Probabilities by head.safetensors, as docs/export.md says."""
    head = safetensors.torch.load_file(folder / "head.safetensors")
    x = F.layer_norm(embedding, embedding.shape[1:], head["norm.weight"], head["norm.bias"], eps=1e-6)
    return F.linear(x, head["head.weight"], head["head.bias"]).softmax(-1).numpy()


def compare(model: asit.Model, folder: Path, samples: np.ndarray, embedding: torch.Tensor) -> None:
    np.testing.assert_allclose(embedding[0].numpy(), model.embed(samples, model.sample_rate), atol=1e-4, rtol=0)
    assert (folder / "head.safetensors").exists() == (folder / "labels.txt").exists() == bool(model.labels)
    if model.labels:
        expected = dict(model.classify(samples, model.sample_rate))
        found = classes(folder, embedding)[0]
        np.testing.assert_allclose(found, [expected[label] for label in LABELS], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_timm(model, tmp_path) -> None:
    timm = library("timm")
    config = made(model.path, "timm", tmp_path / "out")
    theirs = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    assert isinstance(theirs, timm.models.VisionTransformer)
    assert theirs.pretrained_cfg["mean"] == config["pretrained_cfg"]["mean"]
    samples = wave(model)
    compare(model, tmp_path / "out", samples, theirs(window(model, samples)))


@torch.inference_mode()
def test_transformers(model, tmp_path) -> None:
    transformers = library("transformers")
    config = made(model.path, "hf", tmp_path / "out")
    assert list(config["id2label"].values()) == model.labels
    theirs = transformers.AutoModel.from_pretrained(tmp_path / "out", add_pooling_layer=False).eval()
    assert type(theirs).__name__ == "ViTModel"
    samples = wave(model)
    tokens = theirs(window(model, samples)).last_hidden_state
    pooled = tokens[:, 0] if model.network.settings.pooling == "cls" else tokens[:, 1:].mean(1)
    compare(model, tmp_path / "out", samples, pooled)
    if not model.labels:
        patches, _ = model.embed(samples, model.sample_rate, level="patch")
        np.testing.assert_allclose(tokens[0, 1:].numpy(), patches.reshape(-1, model.dim), atol=1e-4, rtol=0)


def test_the_front_end_for_transformers(tmp_path) -> None:
    """ASTFeatureExtractor makes the features of the published front end; it knows no other."""
    transformers = library("transformers")
    path = make_square(tmp_path / "backbone.safetensors", FbankSettings())
    made(path, "hf", tmp_path / "out")
    model = asit.load(path)
    theirs = transformers.AutoFeatureExtractor.from_pretrained(tmp_path / "out")
    samples = wave(model)
    found = theirs(samples, sampling_rate=RATE, return_tensors="np")["input_values"]
    np.testing.assert_allclose(found[0], window(model, samples)[0, 0].numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "head", "message"),
    [
        (
            {"stride": (8, 16)},
            {"pool_slices": 1},
            r"patches side by side, .*, found patches of \(16, 16\) each \(8, 16\)",
        ),
        ({}, {"pool_slices": 8}, "expected the pooling cls or mean, .* found mean over 8 stretches"),
        ({}, {"pool_slices": 1, "pooling": "cls[+]mean"}, "found cls[+]mean; choose --to onnx or torchscript"),
        ({}, {"layers": "weighted", "pool_slices": 1}, "expected the tokens of one layer, found a weighted sum of all"),
    ],
)
@pytest.mark.parametrize("to", ["timm", "hf"])
def test_what_they_have_no_place_for_is_refused(tmp_path, to, options, head, message) -> None:
    head = {name: value.replace("[+]", "+") if isinstance(value, str) else value for name, value in head.items()}
    backbone = make_square(tmp_path / "backbone.safetensors", **options)
    path = make_classifier(tmp_path / "model.safetensors", backbone, **head)
    with pytest.raises(AsitError, match=f"--to {to}: .*{message}"):
        made(path, to, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_front_end_where_theirs_differs(tmp_path) -> None:
    made("asit-tiny", "hf", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", "model.safetensors"]
