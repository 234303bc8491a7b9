"""A small corpus in ESC-50's official layout, from the recordings of egs/mini: the sounds are telephone prompts."""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

PROMPTS = Path(__file__).parents[2] / "egs/mini/corpus"
RATE, SAMPLES = 44100, 220500
CLASSES = {"dog": (0, "allison_en"), "hand_saw": (49, "carlo_it")}  # class: its target, the voice that stands for it
CLIPS = 2  # of each class in each fold
COLUMNS = "filename,fold,target,category,esc10,src_file,take"


def make(folder: Path) -> Path:
    """Write ESC-50-master/{audio,meta/esc50.csv} below ``folder``; returns ESC-50-master."""
    master = folder / "ESC-50-master"
    (master / "audio").mkdir(parents=True)
    (master / "meta").mkdir()
    rows = [COLUMNS]
    for category, (target, voice) in CLASSES.items():
        prompts = itertools.cycle(sorted((PROMPTS / voice).glob("*.flac")))
        for fold, number in itertools.product(range(1, 6), range(CLIPS)):
            take, source = "AB"[number], 100 * fold + target  # both takes come from one recording
            name = f"{fold}-{source}-{take}-{target}.wav"
            soundfile.write(master / "audio" / name, five_seconds(prompts), RATE)
            rows.append(f"{name},{fold},{target},{category},False,{source},{take}")
    (master / "meta/esc50.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return master


def five_seconds(prompts: itertools.cycle) -> np.ndarray:
    """The next prompts one after the other, at 44.1 kHz."""
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < SAMPLES:
        wave, rate = soundfile.read(next(prompts), dtype="float32")
        parts.append(soxr.resample(wave, rate, RATE))
    return np.concatenate(parts)[:SAMPLES]


def archive(master: Path, path: Path) -> Path:
    """A zip of the corpus as GitHub makes it: everything in the folder ESC-50-master."""
    with zipfile.ZipFile(path, "w") as bundle:
        for file in sorted(master.rglob("*")):
            bundle.write(file, file.relative_to(master.parent))
    return path
