"""Time of log-mel features against other implementations: python benchmarks/fbank.py

CPU time of one thread; all candidates take turns within each round, and the table shows medians over the rounds and
their ratio to the first line. A peer that cannot be imported is left out. torchaudio does not load beside a CPU-only
torch, but its pure-Python file for Kaldi's features does, and is found where torchaudio is installed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib.util
import statistics
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from measure import Result, picture, ratio, take_turns
from speech import speech

from asit.config import Options, option, parse
from asit.features.fbank import Fbank, FbankSettings

Compute = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Settings(Options):
    """Time log-mel features, interleaved with other implementations where they can be imported."""

    rate: int = option(16000, "sample rate in Hz")
    seconds: tuple[float, ...] = option((1.0, 10.0), "lengths of the clips")
    rounds: int = option(50, "rounds; each candidate runs once in each")
    pictured: tuple[float, ...] = option((0.5, 1.0, 3.0, 10.0, 30.0, 100.0), "lengths of the picture")
    kaldi_py: str | None = option(None, "torchaudio/compliance/kaldi.py, where torchaudio itself is not installed")


def asit(rate: int, bins: int) -> Compute:
    """Ours."""
    return Fbank(FbankSettings(sample_rate=rate, num_mel_bins=bins))


def torchaudio(rate: int, bins: int, path: str | None) -> Compute | None:
    """torchaudio's Kaldi-compatible function."""
    if not path:
        found = importlib.util.find_spec("torchaudio")  # does not run it
        if found is None or found.origin is None:
            return None
        path = str(Path(found.origin).parent / "compliance/kaldi.py")
    sys.modules["torchaudio"] = types.ModuleType("torchaudio")  # only for the import in that file
    specification = importlib.util.spec_from_file_location("torchaudio_kaldi", path)
    assert specification is not None
    assert specification.loader is not None
    kaldi = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(kaldi)
    del sys.modules["torchaudio"]
    torch.set_num_threads(1)
    options = {"num_mel_bins": bins, "sample_frequency": rate, "window_type": "hanning", "htk_compat": True}
    return lambda wave: kaldi.fbank(torch.from_numpy(wave)[None], **options).numpy()


def lhotse(rate: int, bins: int) -> Compute | None:
    """lhotse's batched torch implementation."""
    try:
        from lhotse.features.kaldi.layers import Wav2LogFilterBank
    except ImportError:
        return None
    layer = Wav2LogFilterBank(
        sampling_rate=rate, num_filters=bins, window_type="hanning", snip_edges=True, high_freq=0.0
    ).eval()

    def compute(wave: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return layer(torch.from_numpy(wave)[None])[0].numpy()

    return compute


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


def candidates(settings: Settings) -> dict[str, Compute]:
    """Those that are there."""
    rate = settings.rate
    found: dict[str, Compute | None] = {
        "torchaudio, 128 bins": torchaudio(rate, 128, settings.kaldi_py),
        "lhotse, 128 bins": lhotse(rate, 128),
        "asit, 128 bins": asit(rate, 128),
        "torchaudio, 80 bins": torchaudio(rate, 80, settings.kaldi_py),
        "kaldi-native-fbank, 80 bins": kaldi_native_fbank(rate, 80),
        "asit, 80 bins": asit(rate, 80),
    }
    return {name: compute for name, compute in found.items() if compute is not None}


def timed(
    present: dict[str, Compute], rate: int, seconds: tuple[float, ...], rounds: int
) -> dict[float, dict[str, list[float]]]:
    """Seconds of every candidate in every round, by length of the clip."""
    times = {}
    for length in seconds:
        wave = speech(length, rate)
        runs = {name: lambda compute=compute: compute(wave) for name, compute in present.items()}  # noqa: B023
        times[length] = take_turns(runs, rounds, torch.device("cpu"), warm_up=3)
    return times


def main() -> None:
    """Print and save one table for all lengths, and a picture."""
    settings = parse(Settings)
    present = candidates(settings)
    times = timed(present, settings.rate, settings.seconds, settings.rounds)
    first = next(iter(present))
    rows = []
    for name in present:
        rows.append([name])
        for seconds in settings.seconds:
            median = statistics.median(times[seconds][name])
            rows[-1] += [f"{1000 * median:.3f}", f"{ratio(times[seconds], first, name):.2f}"]
    columns = ["what"]
    for seconds in settings.seconds:
        columns += [f"ms, {seconds:g} s", f"x {first}, {seconds:g} s"]
    lengths = settings.pictured
    shown = timed(present, settings.rate, lengths, max(3, settings.rounds // 5))
    series = {
        name: (
            [float(np.log10(s)) for s in lengths],
            [s / statistics.median(shown[s][name]) for s in lengths],
        )
        for name in present
        if "128" in name
    }
    caption = "Log-mel features by length of the clip (0.5 s to 100 s), 128 bins"
    figure = picture("fbank_length.png", caption, series, "log10 of the seconds of a clip", "x real time, one core")
    notes = [
        f"Speech at {settings.rate} Hz, in memory. kaldi-native-fbank, like Kaldi, refuses 128 bins at 16 kHz.",
        "Targets: 2.5 times torchaudio at both lengths, and faster than kaldi-native-fbank at 80 bins.",
    ]
    Result("fbank", "Log-mel features in memory", columns, rows, notes, [figure]).save()


if __name__ == "__main__":
    main()
