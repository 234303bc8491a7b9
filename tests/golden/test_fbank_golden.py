"""torchaudio's stored values, see README.md."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from asit.features.fbank import Fbank, FbankSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from fbank_reference import reference, tolerance

GOLDEN = np.load(Path(__file__).with_name("fbank.npz"))
CASES = json.loads(str(GOLDEN["cases"]))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['i']}")
def test_matches_torchaudio(case):
    settings = FbankSettings(
        sample_rate=case["sample_frequency"],
        num_mel_bins=case["num_mel_bins"],
        frame_length=float(case["frame_length"]),
        frame_shift=float(case["frame_shift"]),
        window=case["window_type"],
        htk_compat=case["htk_compat"],
        use_energy=case["use_energy"],
        snip_edges=case["snip_edges"],
        dither=case["dither"],
        energy_floor=1.0,
        subtract_mean=False,
    )
    wave, stored = GOLDEN[f"wave{case['i']}"], GOLDEN[f"feats{case['i']}"]
    ours = Fbank(settings)(wave)
    assert ours.dtype == np.float32
    assert ours.shape == stored.shape
    exact = reference(wave, settings)
    allowed = tolerance(exact)
    assert np.all(np.abs(ours - exact) <= allowed)
    assert np.all(np.abs(ours - stored) <= 2 * allowed)  # both round
    assert np.median(np.abs(ours - stored)) < 1e-5


def test_there_are_twenty_cases():
    assert len(CASES) == 20
