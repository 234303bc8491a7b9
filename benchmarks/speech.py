"""Real speech for the benchmarks: the recordings of egs/mini, joined and cut to any length, as audio or features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from asit.features.fbank import Fbank, FbankSettings
from asit.io.audio import read_audio
from asit.kaldi.data_dir import write_data_dir

CORPUS = Path(__file__).resolve().parents[1] / "egs/mini/corpus"
RATE = 16000


def speech(seconds: float, rate: int = RATE) -> np.ndarray:
    """float32 (samples,) of this length: recordings one after the other, from the first one again when they end."""
    parts: list[np.ndarray] = []
    needed = int(seconds * rate)
    for path in sorted(CORPUS.rglob("*.flac")):
        parts.append(read_audio(path, rate, resample=True)[0])
        if sum(map(len, parts)) >= needed:
            break
    return np.resize(np.concatenate(parts), needed)


def data_dir(folder: Path, count: int, seconds: float, suffix: str, most: float = 400.0) -> str:
    """A data directory of `count` clips of 16-bit audio cut from at most `most` seconds; its path."""
    length = int(seconds * RATE)
    wave = speech(max(seconds, min(count * seconds, most)))
    starts = range(0, len(wave) - length + 1, length)
    (folder / "audio").mkdir(parents=True)
    paths = {}
    for i in range(count):
        paths[f"clip-{i:06d}"] = str(folder / "audio" / f"{i}.{suffix}")
        start = starts[i % len(starts)]
        soundfile.write(paths[f"clip-{i:06d}"], wave[start : start + length], RATE, subtype="PCM_16")
    tables = {"wav.scp": paths, "utt2spk": dict.fromkeys(paths, "clip")}
    return write_data_dir(folder / "data", tables).path


def log_mels(frames: int, mels: int = 128) -> np.ndarray:
    """Features of speech, float32 (frames, mels)."""
    fbank = Fbank(FbankSettings(num_mel_bins=mels))
    most = min(frames, 30_000)
    return np.resize(fbank(speech(most / 100 + 0.03))[:most], (frames, mels))
