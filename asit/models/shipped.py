"""Weights that come with asit, by their names: no torch here, so that planning a recipe stays quick."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "weights"  # <name>.safetensors, each with a card <name>.md


def names() -> list[str]:
    """Of all weights that come with asit."""
    return sorted(file.stem for file in FOLDER.glob("*.safetensors"))


def located(path: str | os.PathLike[str]) -> str:
    """The path of a model file: ``path``, or that of the weights with this name."""
    file = FOLDER / f"{os.fspath(path)}.safetensors"
    return str(file) if not os.path.exists(path) and file.is_file() else os.fspath(path)
