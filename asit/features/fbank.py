"""Kaldi's log-mel filter bank (feat/feature-fbank.cc, feat/feature-window.cc) in numpy and scipy.

Letters: T frames, F mel bins. Waveforms are float32 in [-1, 1], unlike Kaldi's 16-bit range; ``waveform_scale``
32768 gives Kaldi's numbers. AudioSet's published mean -4.2677 and standard deviation 4.569 hold for scale 1.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
import scipy.linalg.blas

from asit.config import Options, option, to_dict
from asit.errors import AsitError
from asit.features.cmn import subtract_mean
from asit.features.mel import BandedProduct, mel_filters
from asit.io.channels import channel_of

EPSILON = np.float32(np.finfo(np.float32).eps)  # Kaldi's floor under every logarithm
WINDOWS = ("hanning", "povey", "hamming", "rectangular", "blackman")
FRAMES_PER_CHUNK = 128  # a chunk (256 kB of samples, 64 kB of output) stays in the second-level cache


@dataclass(frozen=True)
class FbankSettings(Options):
    """Log-mel front end. The names and meanings are those of Kaldi's compute-fbank-feats; the defaults are ASiT's."""

    sample_rate: int = option(16000, "samples per second of the waveform (Hz)", above=0)
    channel: str | None = option(
        None, "channel to take of audio with several, from 0; mix: their mean; none refuses such audio"
    )
    num_mel_bins: int = option(128, "number of triangular mel filters")
    frame_length: float = option(25.0, "frame length in milliseconds")
    frame_shift: float = option(10.0, "frame shift in milliseconds")
    window: str = option("hanning", "window function", WINDOWS)
    blackman_coeff: float = option(0.42, "first coefficient of the blackman window")
    low_freq: float = option(20.0, "lower edge of the first filter in Hz")
    high_freq: float = option(
        0.0, "upper edge of the last filter in Hz; zero or less counts from the Nyquist frequency"
    )
    preemphasis: float = option(0.97, "coefficient of x[n] - c*x[n-1], inside each frame", least=0, most=1)
    remove_dc_offset: bool = option(True, "subtract the mean of each frame")
    subtract_mean: bool = option(True, "subtract the mean of the waveform first, as ASiT does")
    snip_edges: bool = option(True, "only whole frames; false: one frame per shift, the ends are mirrored")
    round_to_power_of_two: bool = option(True, "pad frames with zeros to a power of two before the FFT")
    use_power: bool = option(True, "filters weight the power spectrum; false: the magnitude")
    use_log_fbank: bool = option(True, "take the logarithm")
    use_energy: bool = option(False, "add the log energy of each frame as one more column")
    raw_energy: bool = option(True, "measure the energy before preemphasis and window")
    energy_floor: float = option(0.0, "least energy, in the waveform's units; 0: only float32's epsilon", least=0)
    htk_compat: bool = option(True, "the energy is the last column; false: the first")
    dither: float = option(0.0, "standard deviation of the noise added to the waveform, in its units", least=0)
    dither_seed: int = option(0, "seed of that noise; it depends on this and the utterance id only")
    cmn_window: int = option(
        0,
        "frames over which each bin's mean is subtracted, around each frame (Kaldi's apply-cmvn-sliding); of shorter "
        "clips the mean of the whole clip (apply-cmvn); 0: none",
        least=0,
    )
    cmn_floor: float = option(-13.0, "with cmn_window: log-mels are raised to this value first")
    waveform_scale: float = option(1.0, "factor on the waveform in [-1, 1]; 32768 is Kaldi's range", above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        channel_of(self.channel)
        nyquist = self.sample_rate / 2
        _expect(self.window_shift >= 1, "frame_shift", "at least one sample", f"{self.frame_shift:g} ms")
        _expect(self.window_size >= 2, "frame_length", "at least two samples", f"{self.frame_length:g} ms")
        _expect(0 <= self.low_freq < nyquist, "low_freq", f"0 Hz to below {nyquist:g} Hz", f"{self.low_freq:g}")
        _expect(
            self.low_freq < self.high_edge <= nyquist,
            "high_freq",
            f"an upper edge above low_freq {self.low_freq:g} Hz and up to the Nyquist frequency {nyquist:g} Hz "
            f"of sample_rate {self.sample_rate}",
            f"{self.high_freq:g} (edge {self.high_edge:g} Hz)",
        )
        _expect(
            self.fft_size % 2 == 0,
            "frame_length",
            "an even number of samples when round_to_power_of_two is false",
            self.window_size,
        )
        _expect(
            3 <= self.num_mel_bins <= self.fft_size // 2,
            "num_mel_bins",
            f"3 to {self.fft_size // 2} (the spectrum bins of a frame of {self.window_size} samples)",
            self.num_mel_bins,
        )
        if not self.use_log_fbank:  # a channel multiplies energies; only to logarithms does it add
            _expect(not self.cmn_window, "cmn_window", "0 where use_log_fbank is false", self.cmn_window)

    @property
    def of_one_channel(self) -> dict[str, Any]:
        """What the features depend on once a channel is taken: all but that choice, which is each corpus's own."""
        return {name: value for name, value in to_dict(self).items() if name != "channel"}

    @property
    def window_size(self) -> int:
        """Samples of a frame, truncated as Kaldi truncates."""
        return int(self.sample_rate * 0.001 * self.frame_length)

    @property
    def window_shift(self) -> int:
        """Samples from one frame to the next, truncated as Kaldi truncates."""
        return int(self.sample_rate * 0.001 * self.frame_shift)

    @property
    def fft_size(self) -> int:
        """Samples of a frame with its zero padding."""
        return 1 << (self.window_size - 1).bit_length() if self.round_to_power_of_two else self.window_size

    @property
    def high_edge(self) -> float:
        """Upper edge of the last filter in Hz."""
        return self.high_freq if self.high_freq > 0 else self.sample_rate / 2 + self.high_freq

    @property
    def silence(self) -> float:
        """What stands for silence where a clip is filled up: its log-mel, or with ``cmn_window`` the mean, 0."""
        return 0.0 if self.cmn_window else float(np.log(EPSILON))

    @property
    def dim(self) -> int:
        """Columns of the features: F, plus one with ``use_energy``."""
        return self.num_mel_bins + self.use_energy

    def num_frames(self, samples: int) -> int:
        """Frames that Kaldi makes of this many samples (NumFrames in feat/feature-window.cc).

        >>> FbankSettings().num_frames(16000)
        98
        """
        if not self.snip_edges:
            return (samples + self.window_shift // 2) // self.window_shift
        return 0 if samples < self.window_size else 1 + (samples - self.window_size) // self.window_shift


class Fbank:
    """Computes log-mel features; one object serves any number of waveforms and threads."""

    def __init__(self, settings: FbankSettings | None = None) -> None:
        """Prepare the window and the filters of `settings` (ASiT's if none are given)."""
        self.settings = s = settings or FbankSettings()
        window = window_function(s.window, s.window_size, s.blackman_coeff)
        self.window = np.pad(window, (0, s.fft_size - s.window_size))  # as long as a padded frame
        self.filters = BandedProduct(mel_filters(s.num_mel_bins, s.fft_size, s.sample_rate, s.low_freq, s.high_edge))

    def __call__(self, wave: np.ndarray, utt: str = "", generator: np.random.Generator | None = None) -> np.ndarray:
        """Features, float32 (T, F), or (T, F + 1) with ``use_energy``.

        Args:
            wave: (samples,) in [-1, 1], at the sample rate of the settings.
            utt: utterance id, for messages and for the dither.
            generator: source of the dither; by default one seeded by ``dither_seed`` and `utt`.

        Raises:
            AsitError: integers (their range is not [-1, 1]), not one channel, or too short for a single frame.
        """
        s = self.settings
        name = f"utterance {utt}" if utt else "waveform"
        wave = np.asarray(wave)
        if wave.dtype.kind != "f":
            scale = {"int16": "32768", "int32": "2147483648", "uint8": "128 after subtracting 128"}
            how = scale.get(wave.dtype.name, "their full scale")
            raise AsitError(f"{name}: expected numbers in [-1, 1], found {wave.dtype}; divide the samples by {how}")
        wave = wave.astype(np.float32, copy=False)
        if wave.ndim != 1:
            raise AsitError(f"{name}: expected one channel of shape (samples,), found shape {wave.shape}")
        count = s.num_frames(len(wave))
        if count < 1:
            need = s.window_size if s.snip_edges else s.window_shift - s.window_shift // 2
            raise AsitError(
                f"{name}: expected at least {need} samples ({1000 * need / s.sample_rate:g} ms) for one frame, found "
                f"{len(wave)}; remove the utterance" + (" or set snip_edges to false" if s.snip_edges else "")
            )
        feats = self._compute(self._prepare(wave, utt, generator), count)
        return subtract_mean(feats, s.cmn_window, s.cmn_floor) if s.cmn_window else feats

    def _prepare(self, wave: np.ndarray, utt: str, generator: np.random.Generator | None) -> np.ndarray:
        """Scale, subtract the mean, dither. Kaldi draws noise per frame; drawing it once per sample has the same
        distribution in every frame and keeps the frames of a shifted crop equal."""
        s = self.settings
        if s.waveform_scale != 1:
            wave = wave * np.float32(s.waveform_scale)
        if s.subtract_mean and not s.remove_dc_offset:  # else the mean of every frame takes it away
            wave = wave - np.float32(wave.mean(dtype=np.float64))
        if s.dither:
            generator = generator or dither_generator(s.dither_seed, utt)
            wave = wave + np.float32(s.dither) * generator.standard_normal(len(wave), dtype=np.float32)
        return wave

    def _compute(self, wave: np.ndarray, count: int) -> np.ndarray:
        """Features of a prepared float32 waveform (samples,) of `count` frames."""
        s = self.settings
        if not s.snip_edges:
            wave = _mirror_ends(wave, count, s.window_size, s.window_shift)
        return self._features(np.ascontiguousarray(wave), count)

    def _features(self, wave: np.ndarray, count: int) -> np.ndarray:
        """Features of the first `count` frames of a contiguous float32 waveform, chunk by chunk."""
        s = self.settings
        padded = np.zeros((min(count, FRAMES_PER_CHUNK), s.fft_size), np.float32)
        spectrum = np.empty((len(padded), s.fft_size // 2 + 1), np.float32)
        features = np.empty((count, s.dim), np.float32)
        bins = slice(1, None) if s.use_energy and not s.htk_compat else slice(0, s.num_mel_bins)
        for start in range(0, count, FRAMES_PER_CHUNK):
            out = features[start : start + FRAMES_PER_CHUNK]
            windowed, magnitude = padded[: len(out)], spectrum[: len(out)]
            first = start * s.window_shift
            energy = self._window(wave[first : first + (len(out) - 1) * s.window_shift + s.window_size], windowed)
            np.abs(scipy.fft.rfft(windowed), out=magnitude)
            if s.use_power:
                np.multiply(magnitude, magnitude, out=magnitude)
            mels = out[:, bins]
            self.filters(magnitude, mels)
            if s.use_log_fbank:
                np.log(np.maximum(mels, EPSILON, out=mels), out=mels)
            if s.use_energy:
                out[:, -1 if s.htk_compat else 0] = energy
        return features

    def _window(self, wave: np.ndarray, out: np.ndarray) -> np.ndarray | None:
        """Write the windowed frames of a piece of the waveform to `out` (T, fft_size); return their log energies.

        Frame by frame, Kaldi computes w[n]·(d[n] - c·d[n-1]) with d = x - mean(x) and d[-1] = d[0]. That is
        w[n]·(x[n] - c·x[n-1]) - (1 - c)·mean(x)·w[n], but for x[n] - c·x[n-1] at n = 0. So preemphasis runs once over
        the samples, not over the overlapping frames, and the offset is an outer product: few passes over memory,
        which is what limits the speed here.
        """
        s, size = self.settings, self.settings.window_size
        keep = np.float32(1.0 - s.preemphasis)
        raw = _frames(wave, len(out), size, s.window_shift)
        emphasised = np.empty_like(wave)
        np.multiply(wave[:-1], np.float32(-s.preemphasis), out=emphasised[1:])
        emphasised[1:] += wave[1:]
        emphasised[0] = 0
        frames = _frames(emphasised, len(out), size, s.window_shift)
        np.einsum("tn,n->tn", frames, self.window[:size], out=out[:, :size])
        out[:, 0] = keep * self.window[0] * raw[:, 0]
        offset = np.zeros(len(raw), np.float32)
        if s.remove_dc_offset:
            offset = np.einsum("tn->t", raw) * np.float32(1 / size)
            scipy.linalg.blas.sger(
                -keep, self.window, offset, a=out.T, overwrite_a=True
            )  # in place: out.T is Fortran's
        if not s.use_energy:
            return None
        return self._log_energy(raw - offset[:, None] if s.raw_energy else out)

    def _log_energy(self, frames: np.ndarray) -> np.ndarray:
        """Log of the sum of squares of each frame, (T,)."""
        floor = max(EPSILON, np.float32(self.settings.energy_floor))
        return np.log(np.maximum(np.einsum("tn,tn->t", frames, frames), floor))


def window_function(name: str, size: int, blackman_coeff: float = 0.42) -> np.ndarray:
    """Kaldi's window functions, float32 (size,): symmetric, the last sample mirrors the first."""
    phase = 2 * math.pi * np.arange(size) / (size - 1)
    hanning = 0.5 - 0.5 * np.cos(phase)
    windows = {
        "hanning": hanning,
        "povey": hanning**0.85,
        "hamming": 0.54 - 0.46 * np.cos(phase),
        "rectangular": np.ones(size),
        "blackman": blackman_coeff - 0.5 * np.cos(phase) + (0.5 - blackman_coeff) * np.cos(2 * phase),
    }
    return windows[name].astype(np.float32)


def empty_filters(s: FbankSettings) -> str | None:
    """What to say of mel filters that are narrower than a spectrum bin and cover none; None without any."""
    filters = mel_filters(s.num_mel_bins, s.fft_size, s.sample_rate, s.low_freq, s.high_edge)
    empty = np.flatnonzero(~filters.any(axis=0)).tolist()
    if not empty:
        return None
    return (
        f"{s.num_mel_bins} mel bins at {s.sample_rate} Hz with an FFT of {s.fft_size} points: no spectrum bin falls "
        f"into filters {', '.join(map(str, empty))} (counted from 0), whose output is constant; fewer bins, another "
        "low_freq, a longer frame or a higher rate would fill them"
    )


def dither_generator(seed: int, utt: str) -> np.random.Generator:
    """A generator that depends on the seed and the utterance id only: not on order, part or process."""
    digest = hashlib.sha256(f"{seed}\0{utt}".encode(errors="surrogateescape")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def _frames(wave: np.ndarray, count: int, size: int, shift: int) -> np.ndarray:
    """Overlapping frames of a contiguous float32 waveform as a view (count, size), ten times faster to make than
    ``sliding_window_view``; numpy checks that it is inside the waveform."""
    return np.ndarray((count, size), np.float32, wave, strides=(shift * wave.itemsize, wave.itemsize))


def _mirror_ends(wave: np.ndarray, count: int, size: int, shift: int) -> np.ndarray:
    """The samples under `count` frames centred on the middles of the shifts; beyond the ends the waveform is
    mirrored (the end sample twice), as often as needed."""
    start = shift // 2 - size // 2
    stop = start + (count - 1) * shift + size
    mirrored = np.pad(wave, (max(0, -start), max(0, stop - len(wave))), mode="symmetric")
    return mirrored[max(0, start) :]


def _expect(holds: bool, name: str, expected: str, found: object) -> None:
    if not holds:
        raise AsitError(f"option '{name}': expected {expected}, found {found}")
