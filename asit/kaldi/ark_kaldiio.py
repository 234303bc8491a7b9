"""Archives read and written by kaldiio instead of our own code, the same files: ``ASIT_ARK_BACKEND=kaldiio``.

The only module that knows it. kaldiio's licence is for evaluation. It never opens a file name from an scp file (it runs
``cmd |`` in a shell and unpickles ``PKL`` entries): names and heads are checked first.
"""

from __future__ import annotations

import importlib
import os
import struct
from types import ModuleType
from typing import IO

import numpy as np

from asit.errors import AsitError, nearest
from asit.kaldi import ark_spec

BACKENDS = ("asit", "kaldiio")
# What kaldiio raises on bytes that are not what it expects; struct.error is none of the others.
_READ_ERRORS = (ValueError, TypeError, LookupError, ArithmeticError, AssertionError, RuntimeError)
_READ_ERRORS += (struct.error, OSError, MemoryError)


def load_backend(backend: str | None = None) -> ModuleType | None:
    """``kaldiio.matio`` if `backend`, else ``ASIT_ARK_BACKEND``, says kaldiio; None for asit, the default.

    Raises:
        AsitError: unknown name, or not installed (the message says how to install it).
    """
    name = backend or os.environ.get("ASIT_ARK_BACKEND") or "asit"
    if name not in BACKENDS:
        raise AsitError(f"unknown ark backend '{name}': {nearest(name, BACKENDS)}")
    if name == "asit":
        return None
    try:
        return importlib.import_module("kaldiio.matio")
    except ImportError as error:
        raise AsitError(
            f"ark backend 'kaldiio' cannot be loaded ({error}): install it with pip install kaldiio, or use the "
            "default one, ASIT_ARK_BACKEND=asit"
        ) from None


def read_array(stream: IO[bytes], spec: ark_spec.Spec, library: ModuleType) -> np.ndarray:
    """The whole matrix or vector at the spec's offset, without its range, as kaldiio gives it.

    Raises:
        AsitError: naming the spec: kaldiio cannot make sense of it.
    """
    head = ark_spec.check(stream, spec)
    try:
        if head.kind == "TEXT":  # kaldiio takes "0 0.5" for whole numbers, by its first value
            return ark_spec.read_text(stream, spec)
        return library.read_kaldi(stream)
    except _READ_ERRORS as error:
        reason = " ".join(str(error).split())[-200:]
        raise AsitError(f"'{spec.text}': corrupt archive ({type(error).__name__}: {reason}); create it again") from None
