"""torchaudio, an optional back end: imported only when it is chosen, with a clear message when it cannot be."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np

from asit.errors import AsitError


def load(submodule: str, chosen_by: str) -> ModuleType:
    """``torchaudio.<submodule>``.

    Args:
        submodule: such as ``compliance.kaldi``.
        chosen_by: the option that asked for it and its default, such as ``--backend torchaudio (default: asit)``.

    Raises:
        AsitError: not installed, or installed for another build of torch: the registry's wheel is linked against
            CUDA libraries and does not load beside a CPU-only torch.
    """
    try:
        return importlib.import_module(f"torchaudio.{submodule}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "torchaudio":
            raise
        raise AsitError(
            f"{chosen_by}: torchaudio is not installed; leave the option at its default, which does not need it, "
            "or pip install 'asit[torchaudio]'"
        ) from None
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # RuntimeError: CUDA versions that differ
        torch = importlib.import_module("torch")
        raise AsitError(
            f"{chosen_by}: torchaudio is installed but does not load beside torch {torch.__version__} "
            f"({' '.join(str(error).split())}); leave the option at its default, which does not need it, or "
            "install the torchaudio built for this torch (the package registry's is linked against CUDA)"
        ) from None


def load_resampler() -> ModuleType:
    """What :func:`resample` needs, to fail before the first clip rather than at each."""
    return load("functional", "--resampler torchaudio (default: soxr)")


def resample(samples: np.ndarray, found: int, rate: int) -> np.ndarray:
    """The waveform, float32 (samples,), at another rate in Hz: torchaudio's windowed sinc with its default width.

    Raises:
        AsitError: see :func:`load`.
    """
    torch = importlib.import_module("torch")
    return load_resampler().resample(torch.from_numpy(samples), found, rate).numpy()
