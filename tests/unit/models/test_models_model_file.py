from __future__ import annotations

import os

import pytest
import safetensors.torch
import torch

from asit.errors import AsitError
from asit.models import model_file


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
