"""The hash of a file's content."""

from __future__ import annotations

import hashlib
import os

_BLOCK = 1 << 20


def hash_of(path: str | os.PathLike[str]) -> str:
    """sha256 of a file as 64 hexadecimal digits. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
