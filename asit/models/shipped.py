"""Weights that come with asit, by their names: no torch here, so that planning a recipe stays quick."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import safetensors

KEY = "asit"  # of a model file's metadata: one JSON object
HEADS = ".heads.safetensors"  # of the file beside a backbone's: asit/models/heads.py
FOLDER = Path(__file__).resolve().parents[1] / "weights"  # <name>.safetensors, each with a card <name>.md


def names() -> list[str]:
    """Of all weights that come with asit."""
    return sorted(file.stem for file in FOLDER.glob("*.safetensors") if not file.name.endswith(HEADS))


def facts(name: str) -> dict[str, Any]:
    """The metadata of weights that ship, as :func:`asit.models.model_file.load_metadata` reads them of any file."""
    with safetensors.safe_open(FOLDER / f"{name}.safetensors", framework="np") as stream:
        return json.loads(stream.metadata()[KEY])


def located(path: str | os.PathLike[str]) -> str:
    """The path of a model file: ``path``, or that of the weights with this name."""
    file = FOLDER / f"{os.fspath(path)}.safetensors"
    return str(file) if not os.path.exists(path) and file.is_file() else os.fspath(path)
