"""Mean normalisation over time, after Kaldi's apply-cmvn and apply-cmvn-sliding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asit.features.cmn import subtract_mean
from asit.features.fbank import Fbank, FbankSettings


def sliding(feats: np.ndarray, window: int) -> np.ndarray:
    """SlidingWindowCmn with --center=true --norm-vars=false, frame by frame as Kaldi writes it."""
    frames = len(feats)
    out = np.empty_like(feats)
    for t in range(frames):
        begin = t - window // 2
        end = begin + window
        if begin < 0:
            end, begin = end - begin, 0
        if end > frames:
            begin, end = max(0, begin - (end - frames)), frames
        out[t] = feats[t] - feats[begin:end].mean(axis=0)
    return out


@given(st.integers(1, 60), st.integers(1, 80), st.integers(0, 5))
def test_equals_kaldi_s_loop(frames: int, window: int, seed: int) -> None:
    feats = np.random.default_rng(seed).normal(-6, 4, (frames, 3))
    found = subtract_mean(feats.astype(np.float32), window, -100.0)
    np.testing.assert_allclose(found, sliding(feats, window), atol=2e-5)
    assert found.dtype == np.float32


def test_channel_and_loudness_vanish_and_silence_does_not_decide() -> None:
    rng = np.random.default_rng(0)
    feats = rng.normal(-5, 2, (98, 8)).astype(np.float32)
    there = subtract_mean(feats, 1000, -13.0)
    np.testing.assert_allclose(
        subtract_mean(feats + rng.normal(0, 1, 8).astype(np.float32), 1000, -20.0), there, atol=1e-5
    )
    padded = np.vstack([feats, np.full((40, 8), -15.94, np.float32)])
    expected = np.maximum(padded, -13.0) - np.maximum(padded, -13.0).mean(axis=0)
    np.testing.assert_allclose(subtract_mean(padded, 1000, -13.0), expected, atol=1e-5)


def test_is_a_part_of_the_front_end_and_off_by_default() -> None:
    wave = np.random.default_rng(1).normal(0, 0.1, 24000).astype(np.float32)
    plain = Fbank(FbankSettings(num_mel_bins=40))(wave)
    normalised = Fbank(FbankSettings(num_mel_bins=40, cmn_window=300))
    np.testing.assert_allclose(normalised(wave), subtract_mean(plain, 300, -13.0), atol=1e-6)
    np.testing.assert_allclose(normalised(wave * 0.5), normalised(wave), atol=1e-4)
    assert normalised.settings.silence == 0.0
    assert FbankSettings().silence == pytest.approx(-15.942385)
