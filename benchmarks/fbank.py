"""Time of log-mel features against other implementations: python benchmarks/fbank.py

CPU time of one thread; all candidates take turns within each round, and the table shows medians over the rounds and
their ratio to the first line. A peer that cannot be imported is left out: torchaudio does not load beside a CPU-only
torch, but its pure-Python file does (--kaldi-py site-packages/torchaudio/compliance/kaldi.py).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib.util
import statistics
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from asit.config import option, parse
from asit.features.fbank import Fbank, FbankSettings

Compute = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Settings:
    """Time log-mel features, interleaved with other implementations where they can be imported."""

    rate: int = option(16000, "sample rate in Hz")
    seconds: tuple[float, ...] = option((1.0, 10.0), "lengths of the clips")
    rounds: int = option(50, "rounds; each candidate runs once in each")
    kaldi_py: str | None = option(None, "torchaudio/compliance/kaldi.py, to be loaded without the rest of torchaudio")


def asit(rate: int, bins: int) -> Compute:
    """Ours."""
    return Fbank(FbankSettings(sample_rate=rate, num_mel_bins=bins))


def torchaudio(rate: int, bins: int, path: str | None) -> Compute | None:
    """torchaudio's Kaldi-compatible function."""
    try:
        import torch

        if path:
            sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
            specification = importlib.util.spec_from_file_location("torchaudio_kaldi", path)
            assert specification is not None
            assert specification.loader is not None
            kaldi = importlib.util.module_from_spec(specification)
            specification.loader.exec_module(kaldi)
        else:
            from torchaudio.compliance import kaldi
    except (ImportError, OSError):
        return None
    torch.set_num_threads(1)
    options = {"num_mel_bins": bins, "sample_frequency": rate, "window_type": "hanning", "htk_compat": True}
    return lambda wave: kaldi.fbank(torch.from_numpy(wave)[None], **options).numpy()


def kaldi_native_fbank(rate: int, bins: int) -> Compute | None:
    """Kaldi's C++ code with few changes; it refuses settings with an empty filter."""
    try:
        import kaldi_native_fbank as knf
    except ImportError:
        return None
    options = knf.FbankOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither = rate, 0.0
    options.frame_opts.window_type, options.mel_opts.num_bins, options.htk_compat = "hanning", bins, True

    def compute(wave: np.ndarray) -> np.ndarray:
        online = knf.OnlineFbank(options)
        online.accept_waveform(rate, wave)
        online.input_finished()
        return np.stack([online.get_frame(i) for i in range(online.num_frames_ready)])

    return compute


def main() -> None:
    """Print one table for each length."""
    settings = parse(Settings)
    rate = settings.rate
    candidates: dict[str, Compute | None] = {
        "torchaudio, 128 bins": torchaudio(rate, 128, settings.kaldi_py),
        "asit, 128 bins": asit(rate, 128),
        "torchaudio, 80 bins": torchaudio(rate, 80, settings.kaldi_py),
        "kaldi-native-fbank, 80 bins": kaldi_native_fbank(rate, 80),
        "asit, 80 bins": asit(rate, 80),
    }
    present = {name: compute for name, compute in candidates.items() if compute is not None}
    for seconds in settings.seconds:
        wave = (0.1 * np.random.default_rng(0).standard_normal(int(rate * seconds))).astype(np.float32)
        times: dict[str, list[float]] = {name: [] for name in present}
        for i in range(settings.rounds + 3):  # three rounds to warm up
            for name, compute in present.items():
                start = time.thread_time()
                compute(wave)
                if i >= 3:
                    times[name].append(time.thread_time() - start)
        medians = {name: statistics.median(values) for name, values in times.items()}
        first = next(iter(medians.values()))
        print(f"{seconds:g} s at {rate} Hz")
        for name, median in medians.items():
            print(f"  {name:28s} {1000 * median:8.3f} ms  {first / median:6.2f}x")


if __name__ == "__main__":
    main()
