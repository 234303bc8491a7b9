from __future__ import annotations

import os

import pytest
import safetensors.torch
import torch

from asit.errors import AsitError
from asit.models import model_file, shipped


def test_there_and_back(tmp_path):
    x = torch.arange(6.0).view(2, 3)
    facts = {"kind": "backbone", "labels": ["é", "b"], "stats": {"mean": -4.2677393}}
    model_file.save(tmp_path / "m.safetensors", {"a": x.t(), "b": x}, facts)
    tensors, found = model_file.load(tmp_path / "m.safetensors")
    assert torch.equal(tensors["a"], x.t())
    assert found == facts == model_file.load_metadata(tmp_path / "m.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_damage_is_named(tmp_path):
    path = tmp_path / "m.safetensors"
    with pytest.raises(AsitError, match="no such model file"):
        model_file.load(path)
    model_file.save(path, {"a": torch.zeros(100)}, {})
    os.truncate(path, 200)
    with pytest.raises(AsitError, match="not a readable safetensors file"):
        model_file.load(path)
    path.write_bytes(safetensors.torch.save({"a": torch.zeros(3)}))
    with pytest.raises(AsitError, match="without this toolkit's metadata"):
        model_file.load(path)


def test_weights_that_come_with_asit_have_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(AsitError, match=r"little: no such model file; .*this copy of asit has no weights"):
        model_file.load("little")
    monkeypatch.chdir(tmp_path / "..")
    model_file.save(tmp_path / "little.safetensors", {"a": torch.zeros(3)}, {"kind": "backbone"})
    assert model_file.load("little")[1] == model_file.load_metadata("little") == {"kind": "backbone"}
    with pytest.raises(AsitError, match=r"litle: no such model file; .*or give little, which asit has"):
        model_file.load("litle")
    (tmp_path.parent / "little").write_bytes(b"a file of one's own goes first")
    with pytest.raises(AsitError, match=r"little: not a readable safetensors file"):
        model_file.load("little")
