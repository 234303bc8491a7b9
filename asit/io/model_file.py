"""Models on disk: safetensors with one JSON object of facts, so that loading a file never runs code."""

from __future__ import annotations

import json
import os
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from asit.errors import AsitError
from asit.io.atomic import atomic_open

KEY = "asit"


def save(path: str | os.PathLike[str], tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and metadata (anything JSON holds), whole or not at all."""
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    text = json.dumps(metadata, sort_keys=True)
    with atomic_open(path, "wb") as stream:
        stream.write(safetensors.torch.save(plain, {KEY: text}))


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and metadata.

    Raises:
        AsitError: missing, damaged, or not written by :func:`save`.
    """
    metadata = load_metadata(path)
    return safetensors.torch.load_file(path), metadata


def load_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The metadata alone; the tensors are not read. Errors as :func:`load`."""
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise AsitError(f"{path}: no such model file; train it first, or check the path")
    try:
        with safetensors.safe_open(path, framework="pt") as stream:
            facts = stream.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        raise AsitError(f"{path}: not a readable safetensors file: {error}; it may be truncated") from None
    if KEY not in facts:
        raise AsitError(f"{path}: a safetensors file without this toolkit's metadata; import it with asit-import-model")
    return json.loads(facts[KEY])
