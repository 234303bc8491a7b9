"""An independent float64 log-mel filter bank, written from Kaldi's formulas: loops and matrices, nothing fused."""

from __future__ import annotations

import functools

import numpy as np

EPSILON = 1.1920928955078125e-07


def reference(wave, s):
    x = np.asarray(wave, np.float64) * s.waveform_scale
    if s.subtract_mean:
        x = x - x.mean()
    size, shift, count = s.window_size, s.window_shift, s.num_frames(len(x))
    index = np.arange(count)[:, None] * shift + np.arange(size) + (0 if s.snip_edges else shift // 2 - size // 2)
    while ((index < 0) | (index >= len(x))).any():
        index = np.where(index < 0, -index - 1, index)
        index = np.where(index >= len(x), 2 * len(x) - 1 - index, index)
    frames = x[index]
    if s.remove_dc_offset:
        frames = frames - frames.mean(1, keepdims=True)
    energy = (frames**2).sum(1)
    frames = frames - s.preemphasis * np.concatenate([frames[:, :1], frames[:, :-1]], 1)
    frames = frames * _window(s.window, size)
    if not s.raw_energy:
        energy = (frames**2).sum(1)
    spectrum = np.abs(np.fft.rfft(frames, s.fft_size))[:, :-1]
    feats = (spectrum**2 if s.use_power else spectrum) @ _filters(s).T
    if s.use_log_fbank:
        feats = np.log(np.maximum(feats, EPSILON))
    if s.use_energy:
        column = np.log(np.maximum(energy, max(EPSILON, s.energy_floor)))[:, None]
        feats = np.concatenate([feats, column] if s.htk_compat else [column, feats], 1)
    return feats


def tolerance(exact, log_units=3e-4):
    """What float32 may differ from float64 in a log-mel value, bin by bin, (T, F).

    3e-4 is what float32 implementations reach on noise. A float32 FFT rounds each amplitude by about epsilon times
    the largest of the frame, so a bin whose power is e^-2r of the frame's largest is uncertain by epsilon·e^r more;
    the factor 4 is for several roundings. It does not matter within 16 nats of the loudest bin.
    """
    loudest = exact.max(axis=1, keepdims=True)
    return log_units + 4 * EPSILON * np.exp((loudest - exact) / 2)


def _window(name, size):
    phase = 2 * np.pi * np.arange(size) / (size - 1)
    return {
        "hanning": 0.5 - 0.5 * np.cos(phase),
        "povey": (0.5 - 0.5 * np.cos(phase)) ** 0.85,
        "hamming": 0.54 - 0.46 * np.cos(phase),
        "rectangular": np.ones(size),
        "blackman": 0.42 - 0.5 * np.cos(phase) + 0.08 * np.cos(2 * phase),
    }[name]


@functools.cache
def _filters(s):
    def mel(hertz):
        return 1127 * np.log(1 + hertz / 700)

    low, high = mel(s.low_freq), mel(s.high_edge)
    step = (high - low) / (s.num_mel_bins + 1)
    filters = np.zeros((s.num_mel_bins, s.fft_size // 2))
    for row in range(s.num_mel_bins):
        left = low + row * step
        for column in range(s.fft_size // 2):
            at = mel(column * s.sample_rate / s.fft_size)
            if left < at < left + 2 * step:
                filters[row, column] = (at - left) / step if at <= left + step else (left + 2 * step - at) / step
    return filters
