"""Where a model file is: a path, a folder with one, or the name of weights that come with asit.

No torch here, so that planning a recipe stays quick.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import safetensors

KEY = "asit"  # of a model file's metadata: one JSON object
HEADS = ".heads.safetensors"  # of the file beside a backbone's: asit/models/heads.py
IN_FOLDERS = ("model.safetensors", "backbone.safetensors")  # of a run, or of asit-pack: a folder stands for the first
FOLDER = Path(__file__).resolve().parents[1] / "weights"  # <name>.safetensors, each with a card <name>.md


def names() -> list[str]:
    """Of all weights that come with asit."""
    return sorted(file.stem for file in FOLDER.glob("*.safetensors") if not file.name.endswith(HEADS))


def facts(name: str) -> dict[str, Any]:
    """The metadata of weights that ship, as :func:`asit.models.model_file.load_metadata` reads them of any file."""
    with safetensors.safe_open(FOLDER / f"{name}.safetensors", framework="np") as stream:
        return json.loads(stream.metadata()[KEY])


def located(path: str | os.PathLike[str]) -> str:
    """The path of a model file: ``path``, what :data:`IN_FOLDERS` names in a folder, or the weights with this name."""
    if os.path.isdir(path):
        inside = (os.path.join(path, name) for name in IN_FOLDERS)
        return next(filter(os.path.isfile, inside), os.fspath(path))
    file = FOLDER / f"{os.fspath(path)}.safetensors"
    return str(file) if not os.path.exists(path) and file.is_file() else os.fspath(path)
