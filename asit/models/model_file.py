"""Models on disk: safetensors with one JSON object of facts, so that loading a file never runs code."""

from __future__ import annotations

import json
import os
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from asit.errors import AsitError, excerpt
from asit.io import json_object
from asit.io.atomic import atomic_open
from asit.models import shipped

REMEDY = "the file is damaged or of another version or toolkit; copy it again, or train the model again"


def save(path: str | os.PathLike[str], tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write tensors and metadata (anything JSON holds), whole or not at all."""
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    text = json.dumps(metadata, sort_keys=True)
    with atomic_open(path, "wb") as stream:
        stream.write(safetensors.torch.save(plain, {shipped.KEY: text}))


def load(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and metadata of a file, of the one in a folder, or of weights that ship, by their name.

    Raises:
        AsitError: missing, damaged, not written by :func:`save`, or with metadata that are no JSON object.
    """
    path = shipped.located(path)
    metadata = load_metadata(path)
    try:
        return safetensors.torch.load_file(path), metadata
    except (safetensors.SafetensorError, OSError, ValueError, LookupError, RuntimeError) as error:
        raise AsitError(f"{os.fspath(path)}: its tensors cannot be read: {excerpt(error, 200)}; {REMEDY}") from None


def load_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The metadata alone; the tensors are not read. Errors as :func:`load`."""
    path = shipped.located(path)
    if os.path.isdir(path):
        raise AsitError(f"{path}: expected {' or '.join(shipped.IN_FOLDERS)} in this folder; name the model's file")
    if not os.path.isfile(path):
        names = " or ".join(shipped.names())
        remedy = f", or give {names}, which asit has" if names else "; this copy of asit has no weights of its own"
        raise AsitError(f"{path}: no such model file; train it first, check the path{remedy}")
    try:
        with safetensors.safe_open(path, framework="pt") as stream:
            facts = stream.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        raise AsitError(
            f"{path}: not a readable safetensors file: {excerpt(error, 200)}; it may be truncated"
        ) from None
    if shipped.KEY not in facts:
        raise AsitError(f"{path}: a safetensors file without this toolkit's metadata; import it with asit-import-model")
    return json_object.parse(facts[shipped.KEY], f"{path}: metadata", REMEDY)
