"""The front end that exported files hold, beside asit's own."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from fbank_reference import tolerance

from asit.errors import AsitError
from asit.export.log_mel import LogMel
from asit.features.fbank import Fbank, FbankSettings

CHOICES = [
    {},
    {"snip_edges": False},
    {"cmn_window": 600},
    {"cmn_window": 31, "cmn_floor": -9.0},
    {"sample_rate": 8000, "num_mel_bins": 40, "frame_length": 32.0, "window": "povey"},
    {"use_energy": True, "energy_floor": 0.1},
    {"use_energy": True, "raw_energy": False, "htk_compat": False},
    {"remove_dc_offset": False, "waveform_scale": 32768.0},
    {"remove_dc_offset": False, "subtract_mean": False, "use_power": False, "window": "blackman"},
    {
        "use_log_fbank": False,
        "round_to_power_of_two": False,
        "preemphasis": 0.0,
        "low_freq": 100.0,
        "high_freq": -200.0,
    },
]


@pytest.mark.parametrize("chosen", CHOICES, ids=lambda c: ",".join(c) or "usual")
@pytest.mark.parametrize("samples", [600, 4321, 16000])
def test_it_is_asits_front_end(chosen: dict, samples: int) -> None:
    settings = FbankSettings(**chosen)
    waves = (0.1 * np.random.default_rng(samples).normal(size=(2, samples)) + 0.05).astype(np.float32)
    module = LogMel(settings)
    found = [net(torch.from_numpy(waves)).numpy() for net in (module, torch.jit.script(module))]
    for number, wave in enumerate(waves):
        expected, allowed = Fbank(settings)(wave), within(settings, wave)
        for one in found:
            assert one[number].shape == expected.shape
            assert np.all(np.abs(one[number] - expected) <= allowed)


def within(settings: FbankSettings, wave: np.ndarray) -> np.ndarray:
    """What two float32 implementations may differ by, value by value."""
    raw = Fbank(dataclasses.replace(settings, cmn_window=0))(wave)
    if not settings.use_log_fbank:
        return 1e-4 * raw + 1e-7
    allowed = tolerance(raw if settings.use_power else 2 * raw)
    return allowed + allowed.mean(axis=0) if settings.cmn_window else allowed


def test_silence_and_clips_shorter_than_half_a_frame() -> None:
    settings = FbankSettings(snip_edges=False)
    waves = np.stack([np.zeros(90, np.float32), np.linspace(-0.5, 0.5, 90, dtype=np.float32)])
    expected = np.stack([Fbank(settings)(wave) for wave in waves])
    np.testing.assert_allclose(LogMel(settings)(torch.from_numpy(waves)).numpy(), expected, rtol=1e-5, atol=2e-4)


def test_dither_is_refused() -> None:
    with pytest.raises(AsitError, match=r"adds noise of its own for each recording \(dither 0.1\)"):
        LogMel(FbankSettings(dither=0.1))
