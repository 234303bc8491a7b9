"""The same features from ``torchaudio.compliance.kaldi.fbank``, an optional back end and a cross-check."""

from __future__ import annotations

import importlib

import numpy as np

from asit.features.fbank import Fbank, FbankSettings
from asit.io import torchaudio_module


class TorchaudioFbank(Fbank):
    """Computes what :class:`Fbank` computes, equal to float32 rounding. Mean, scale and dither of the waveform stay
    ours: torchaudio's dither cannot be seeded by utterance."""

    def __init__(self, settings: FbankSettings | None = None) -> None:
        """Raises AsitError when torchaudio cannot be loaded."""
        super().__init__(settings)
        self._kaldi = torchaudio_module.load("compliance.kaldi", "--backend torchaudio (default: asit)")

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
