"""ONNX and TorchScript files, read by onnxruntime and torch, beside asit's own numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from small_models import LABELS, make_classifier, make_recogniser, make_square

import asit
from asit.config import from_dict
from asit.errors import AsitError
from asit.export.export import ExportSettings, export

RATE = 16000
CLIPS = [(1, 0.031), (1, 0.3), (3, 0.6550), (2, 1.0), (2, 5.37), (1, 7.0)]  # number, seconds; a window is 0.655 s


def noise(clips: int, seconds: float) -> np.ndarray:
    """Noise whose loudness changes, (clips, samples)."""
    random = np.random.default_rng(round(1000 * seconds))
    wave = random.normal(size=(clips, round(seconds * RATE))) * 0.1
    return (wave * (1 + np.sin(np.arange(wave.shape[1]) / RATE * 7))).astype(np.float32)


def made(model: str, to: str, out: Path, **options) -> dict:
    export(from_dict(ExportSettings, {"model": model, "to": to, "out": str(out), **options}))
    return json.loads((out / "config.json").read_text(encoding="utf-8"))


def runner(to: str, out: Path, config: dict):
    """(B, ...) -> the file's outputs, by the library that it is for, which knows nothing of asit."""
    if to == "onnx":
        onnxruntime = pytest.importorskip("onnxruntime", reason="pip install -e '.[test]'")
        session = onnxruntime.InferenceSession(str(out / config["file"]))
        assert [[i.name, i.shape] for i in session.get_inputs()] == [
            [config["input"]["name"], config["input"]["shape"]]
        ]
        assert {o.name: o.shape for o in session.get_outputs()} == config["outputs"]
        return lambda x: session.run(None, {config["input"]["name"]: x})
    module = torch.jit.load(str(out / config["file"]))

    def run(x: np.ndarray) -> list[np.ndarray]:
        found = module(torch.from_numpy(x))
        return [part.numpy() for part in (found if isinstance(found, tuple) else [found])]

    return run


@pytest.mark.parametrize("to", ["onnx", "torchscript"])
def test_classifier_with_its_front_end(tmp_path, to: str) -> None:
    if to == "onnx":
        pytest.importorskip("onnxscript", reason="pip install -e '.[test]'")
    backbone = make_square(tmp_path / "backbone.safetensors")
    path = make_classifier(tmp_path / "model.safetensors", backbone, spread=0.1, pooling="cls+mean", layers="weighted")
    config = made(path, to, tmp_path / "out", with_front_end=True)
    assert (tmp_path / "out/labels.txt").read_text() == "".join(f"{label}\n" for label in LABELS)
    model, run = asit.load(path), runner(to, tmp_path / "out", config)
    seen = []
    for clips, seconds in CLIPS:
        waves = noise(clips, seconds)
        embedding, probabilities = run(waves)
        expected = np.array([[dict(found)[label] for label in LABELS] for found in model.classify(list(waves), RATE)])
        np.testing.assert_allclose(probabilities, expected, atol=1e-4, rtol=0)
        np.testing.assert_allclose(embedding, np.stack(model.embed(list(waves), RATE)), atol=1e-4, rtol=0)
        seen.append(probabilities[0])
    assert np.ptp(np.array(seen), axis=0).max() > 0.02  # clips differ by far more than the tolerance
    assert np.array(seen).max() < 0.95


@pytest.mark.parametrize("to", ["onnx", "torchscript"])
def test_backbone_from_features(tmp_path, to: str) -> None:
    if to == "onnx":
        pytest.importorskip("onnxscript", reason="pip install -e '.[test]'")
    path = make_square(tmp_path / "backbone.safetensors", stride=(8, 12))
    config = made(path, to, tmp_path / "out")
    assert config["input"]["shape"] == ["clips", "frames", 64]
    assert not (tmp_path / "out/labels.txt").exists()
    model, run = asit.load(path), runner(to, tmp_path / "out", config)
    for clips, seconds in CLIPS:
        waves = noise(clips, seconds)
        (embedding,) = run(np.stack([model.features(wave, RATE) for wave in waves]))
        np.testing.assert_allclose(embedding, np.stack(model.embed(list(waves), RATE)), atol=1e-4, rtol=0)


def test_what_is_there_stays(tmp_path) -> None:
    (tmp_path / "out").mkdir()
    made("asit-tiny", "timm", tmp_path / "out")
    with pytest.raises(AsitError, match="out: is there already; remove it"):
        made("asit-tiny", "timm", tmp_path / "out")
    with pytest.raises(AsitError, match="no such model file"):
        made("nothing.safetensors", "timm", tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("asit.export.onnx.NEEDED", ("onnx", "no_such_package"))
    with pytest.raises(AsitError, match=r"the package no_such_package is not installed; pip install"):
        made("asit-tiny", "onnx", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_options_of_another_format_are_refused(tmp_path) -> None:
    words = [sys.executable, "-m", "asit.bin.export", "--model", "asit-tiny", "--out", str(tmp_path / "out")]
    found = subprocess.run(
        [*words, "--to", "timm", "--with-front-end", "true"], check=False, capture_output=True, text=True
    )
    assert found.returncode == 2
    assert "--with-front-end" in found.stderr


def test_a_model_that_transcribes_is_refused(tmp_path) -> None:
    path = make_recogniser(tmp_path / "model.safetensors")
    with pytest.raises(AsitError, match="expected a backbone or a classifier of clips, found task 'ctc'"):
        made(path, "torchscript", tmp_path / "out")
    assert not (tmp_path / "out").exists()
