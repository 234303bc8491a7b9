"""Kaldi's triangular mel filters (feat/mel-computations.cc) as a matrix, and their product with a spectrum.

Letters: T frames, F mel bins, S spectrum bins (half the FFT size, plus the Nyquist bin that Kaldi ignores).
"""

from __future__ import annotations

import functools

import numpy as np

# Measured: blocks of half the size spend more on calls, of twice the size more on zeros. Products of this size times
# 128 frames are also below the size at which OpenBLAS turns to several threads and rounds differently.
WEIGHTS_PER_BLOCK = 2048


def mel(frequency: float | np.ndarray) -> float | np.ndarray:
    """Mel scale of a frequency in Hz, 1127·ln(1 + f/700).

    >>> round(float(mel(1000.0)), 3)
    999.991
    """
    return 1127.0 * np.log1p(np.asarray(frequency, dtype=np.float64) / 700.0)


def mel_centres(num_mel_bins: int, low_freq: float, high_freq: float) -> np.ndarray:
    """Centre of each filter in Hz, (F,); the inverse of :func:`mel`.

    >>> mel_centres(3, 0, 8000).round().tolist()
    [614.0, 1768.0, 3934.0]
    """
    return 700.0 * np.expm1(np.linspace(mel(low_freq), mel(high_freq), num_mel_bins + 2)[1:-1] / 1127.0)


@functools.lru_cache(maxsize=32)
def mel_filters(num_mel_bins: int, fft_size: int, sample_rate: float, low_freq: float, high_freq: float) -> np.ndarray:
    """The filters, float32 (S, F), read-only: triangles equally spaced on the mel scale between two frequencies (Hz).

    Column f weights the S = fft_size/2 + 1 bins of the spectrum; the Nyquist bin has weight 0, as in Kaldi.
    Filters narrower than one bin may cover none; their output is constant.
    """
    edges = np.linspace(mel(low_freq), mel(high_freq), num_mel_bins + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = mel(np.arange(fft_size // 2) * (sample_rate / fft_size))[:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    filters = np.zeros((fft_size // 2 + 1, num_mel_bins), np.float32)
    filters[:-1] = np.maximum(0.0, np.minimum(rising, falling))
    filters.flags.writeable = False
    return filters


class BandedProduct:
    """``spectrum @ filters`` for filters that are zero outside a narrow band.

    Each filter covers a few neighbouring bins, so a block of neighbouring filters needs a narrow range of bins: a
    few small dense products replace one of which almost all factors are zeros (at 16 kHz with 128 bins 514 of
    32,896 weights are not).
    """

    def __init__(self, filters: np.ndarray) -> None:
        """Prepare for `filters`, float32 (S, F)."""
        used, count = filters > 0, filters.shape[1]
        last_used = np.where(used.any(axis=0), len(filters) - used[::-1].argmax(axis=0), 1)
        end = np.maximum.accumulate(last_used)  # an empty filter multiplies one bin by zero
        begin = np.where(used.any(axis=0), used.argmax(axis=0), end - 1)
        self.blocks: list[tuple[slice, slice, np.ndarray]] = []
        first = 0
        for last in range(1, count + 1):
            if last < count and (end[last] - begin[first:].min()) * (last + 1 - first) <= WEIGHTS_PER_BLOCK:
                continue
            rows = slice(begin[first:last].min(), end[last - 1])
            self.blocks.append((rows, slice(first, last), np.ascontiguousarray(filters[rows, first:last])))
            first = last

    def __call__(self, spectrum: np.ndarray, out: np.ndarray) -> None:
        """Write the product of `spectrum` (T, S) with the filters to `out` (T, F), both float32."""
        for rows, columns, weights in self.blocks:
            np.matmul(spectrum[:, rows], weights, out=out[:, columns])
