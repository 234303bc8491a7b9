"""Mean normalisation over time: each mel bin minus its own mean, which takes the channel and the loudness away.

Source: Kaldi ``apply-cmvn`` and ``apply-cmvn-sliding --center=true`` (``SlidingWindowCmn`` in
``src/transform/cmvn.cc``), on log-mels. Letters: T frames, F mel bins.
"""

from __future__ import annotations

import numpy as np


def subtract_mean(feats: np.ndarray, window: int, floor: float) -> np.ndarray:
    """Subtract from every bin its mean over the ``window`` frames around each frame, float32 (T, F).

    At the ends the window is shifted, not cut, as in Kaldi; features that are no longer than the window get the mean
    over all of them. Values below ``floor`` are raised to it first: digital silence (-15.9) in a part of a clip would
    otherwise decide the mean.

    >>> subtract_mean(np.array([[1.0], [3.0]], np.float32), 100, -13.0).ravel().tolist()
    [-1.0, 1.0]
    """
    feats = np.maximum(feats, np.float32(floor))
    frames = len(feats)
    if frames <= window:
        return feats - feats.mean(axis=0, dtype=np.float64).astype(np.float32)
    sums = np.concatenate([np.zeros((1, feats.shape[1])), np.cumsum(feats, axis=0, dtype=np.float64)])
    first = np.clip(np.arange(frames) - window // 2, 0, frames - window)
    return feats - ((sums[first + window] - sums[first]) / window).astype(np.float32)
