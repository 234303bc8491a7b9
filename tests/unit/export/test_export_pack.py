"""asit-pack: the folder stands for the file in every command, and what it cannot be made of."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from small_models import make_classifier, make_detector, make_recogniser, make_square

import asit
from asit.errors import AsitError
from asit.export.card import card, pipeline
from asit.export.pack import PackSettings, pack
from asit.metrics.metric import Metric
from asit.models import heads, model_file
from asit.models.shipped import located
from asit.models.trained import load_backbone
from asit.recipes import record
from asit.recipes.record import Record


def packed(model: str, out: Path, **options: str) -> Path:
    pack(PackSettings(model=model, out=str(out), **options))
    return out


def test_a_backbone_and_its_heads(tmp_path, monkeypatch) -> None:
    folder = packed("asit-tiny", tmp_path / "my hub/tiny")
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "backbone.heads.safetensors",
        "backbone.safetensors",
        "config.json",
    ]
    assert located(folder) == str(folder / "backbone.safetensors")
    model, metadata = asit.load(folder), model_file.load_metadata("asit-tiny")
    heads.load(model.path, model.backbone, metadata["provenance"])
    found = load_backbone(str(folder), from_scratch=False, drop_path=None, crop_frames=0)  # what --init takes
    assert found.provenance["licence"] == metadata["licence"] == "CC-BY-SA-4.0"
    assert "licence" not in load_backbone(str(folder), from_scratch=True, drop_path=None, crop_frames=0).provenance
    monkeypatch.chdir(folder)
    assert asit.load(".").dim == model.dim
    with pytest.raises(AsitError, match="is there already"):
        packed("asit-tiny", folder)


def test_a_licence_that_has_to_be_kept(tmp_path, caplog) -> None:
    path = make_classifier(tmp_path / "run/model.safetensors")
    packed(path, tmp_path / "kept", licence="CC-BY-SA-4.0")
    assert not caplog.messages
    packed(path, tmp_path / "other", licence="apache-2.0")
    assert "its backbone is under CC-BY-SA-4.0, which whatever is made from it keeps" in caplog.messages[0]


def test_the_licence_is_said_once_and_never_guessed(tmp_path) -> None:
    path = make_classifier(tmp_path / "run/model.safetensors")
    with pytest.raises(AsitError, match=r"names no licence; its backbone has CC-BY-SA-4\.0; say yours, such as --lic"):
        packed(path, tmp_path / "out")
    with pytest.raises(AsitError, match="expected an SPDX name such as"):
        packed(path, tmp_path / "out", licence="my own: free")
    assert not (tmp_path / "out").exists()
    folder = packed(path, tmp_path / "out", licence="MIT")
    assert "license: mit\n" in (folder / "README.md").read_text()
    assert "Not scored." in (folder / "README.md").read_text()
    with pytest.raises(AsitError, match=r"nothing/metrics\.json"):
        packed(path, tmp_path / "other", licence="MIT", scores=(str(tmp_path / "nothing"),))


def test_scores_that_a_language_model_has_helped_to_stay_out(tmp_path) -> None:
    path = make_classifier(tmp_path / "run/model.safetensors")
    for name, task, value in (("test", "sounds", 0.25), ("test_language_model", "sounds, language model", 0.75)):
        scored = Record({"task": task}, "accuracy", {"accuracy": value}, (Metric("accuracy", "%", "higher"),), 8, 8)
        record.save(tmp_path / "run" / name / record.NAME, scored)
    text = (packed(path, tmp_path / "out", licence="MIT") / "README.md").read_text()
    assert "25.0" in text
    assert "75.0" not in text


def test_what_hubs_call_each_kind(tmp_path) -> None:
    for make, kind, call in (
        (make_classifier, "audio-classification", "model.classify("),
        (make_detector, "audio-classification", "model.events("),
        (make_recogniser, "automatic-speech-recognition", "model.transcribe("),
        (make_square, "feature-extraction", "model.embed("),
    ):
        model = asit.load(make(tmp_path / f"{kind}.safetensors"))
        assert pipeline(model) == kind
        assert call in card(model, kind, "MIT", {})


def test_a_folder_without_a_model(tmp_path) -> None:
    with pytest.raises(AsitError, match=r"expected model\.safetensors or backbone\.safetensors in this folder"):
        asit.load(tmp_path)
