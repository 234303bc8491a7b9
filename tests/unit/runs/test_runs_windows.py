from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asit.errors import AsitError
from asit.features.fbank import FbankSettings
from asit.features.stats import Stats
from asit.models.trained import FrontEnd
from asit.runs import windows
from asit.runs.windows import WindowSettings, window_starts

FRONT_END = FrontEnd(FbankSettings(num_mel_bins=8), Stats(mean=0.0, std=0.5, frames=1))  # normalises to itself
CPU = torch.device("cpu")


@given(st.integers(1, 2000), st.integers(1, 300), st.floats(0.0, 0.9))
def test_windows_cover_the_clip_to_its_end_and_overlap_enough(frames, window, overlap):
    starts = window_starts(frames, window, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, frames - window)
    hop = max(1, round(window * (1 - overlap)))
    assert all(0 < b - a <= hop for a, b in itertools.pairwise(starts))


def mean_level(x, lengths):
    """Mean over the valid frames: what a window says of itself."""
    frames = x.shape[2]
    lengths = torch.full((len(x),), frames) if lengths is None else lengths
    valid = (torch.arange(frames) < lengths[:, None])[:, None, :, None]
    return (x * valid).sum((1, 2)) / lengths[:, None]


def clips(*lengths):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 8)).astype(np.float32) for n in lengths]


def test_a_clip_is_the_mean_of_its_windows_whatever_the_batch(monkeypatch):
    given_clips = clips(100, 7, 32, 33, 64, 250)
    expected = [np.mean([x[s : s + 32].mean(0) for s in window_starts(len(x), 32, 0.5)], axis=0) for x in given_clips]
    for batch in (1, 3, 64):
        monkeypatch.setattr(windows, "BATCH", batch)
        found = windows.apply(mean_level, given_clips, FRONT_END, 32, WindowSettings(), CPU)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_whole_clips_go_through_at_once(monkeypatch):
    given_clips = clips(100, 7, 64, 100)
    monkeypatch.setattr(windows, "BATCH", 2)
    settings = WindowSettings(scoring="whole")
    found = windows.apply(mean_level, given_clips, FRONT_END, 32, settings, CPU)
    np.testing.assert_allclose(found, [x.mean(0) for x in given_clips], atol=1e-5)


def test_no_clips():
    with pytest.raises(AsitError, match="at least one clip"):
        windows.apply(mean_level, [], FRONT_END, 32, WindowSettings(), CPU)
