"""The same features from ``torchaudio.compliance.kaldi.fbank``, an optional back end and a cross-check."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np

from asit.errors import AsitError
from asit.features.fbank import Fbank, FbankSettings

CHOSEN_BY = "--backend torchaudio (default: asit)"


class TorchaudioFbank(Fbank):
    """Computes what :class:`Fbank` computes, equal to float32 rounding. Mean, scale and dither of the waveform stay
    ours: torchaudio's dither cannot be seeded by utterance."""

    def __init__(self, settings: FbankSettings | None = None) -> None:
        """Raises AsitError when torchaudio cannot be loaded."""
        super().__init__(settings)
        self._kaldi = load()

    def _compute(self, wave: np.ndarray, count: int) -> np.ndarray:
        s = self.settings
        feats = self._kaldi.fbank(
            importlib.import_module("torch").from_numpy(wave)[None],
            sample_frequency=s.sample_rate,
            num_mel_bins=s.num_mel_bins,
            frame_length=s.frame_length,
            frame_shift=s.frame_shift,
            window_type=s.window,
            blackman_coeff=s.blackman_coeff,
            low_freq=s.low_freq,
            high_freq=s.high_freq,
            preemphasis_coefficient=s.preemphasis,
            remove_dc_offset=s.remove_dc_offset,
            snip_edges=s.snip_edges,
            round_to_power_of_two=s.round_to_power_of_two,
            use_power=s.use_power,
            use_log_fbank=s.use_log_fbank,
            use_energy=s.use_energy,
            raw_energy=s.raw_energy,
            energy_floor=s.energy_floor,
            htk_compat=s.htk_compat,
            dither=0.0,
        )
        return feats.numpy()


def load() -> ModuleType:
    """``torchaudio.compliance.kaldi``.

    Raises:
        AsitError: not installed, or installed for another build of torch: the registry's wheel is linked against
            CUDA libraries and does not load beside a CPU-only torch.
    """
    try:
        return importlib.import_module("torchaudio.compliance.kaldi")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "torchaudio":
            raise
        raise AsitError(
            f"{CHOSEN_BY}: torchaudio is not installed; leave the option at its default, which does not need it, or "
            "pip install torchaudio"
        ) from None
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # RuntimeError: CUDA versions that differ
        torch = importlib.import_module("torch")
        raise AsitError(
            f"{CHOSEN_BY}: torchaudio is installed but does not load beside torch {torch.__version__} "
            f"({' '.join(str(error).split())}); leave the option at its default, which does not need it, or "
            "install the torchaudio built for this torch (the package registry's is linked against CUDA)"
        ) from None
