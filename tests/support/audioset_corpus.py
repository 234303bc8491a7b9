"""A small AudioSet in the official layout, of the real recordings of egs/mini/corpus: lists, classes, and audio as
people keep it (formats, rates, names and folders of all kinds; some clips missing, one unreadable)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

SPEECH = Path(__file__).parents[2] / "egs/mini/corpus"
HEADER = "# Segments csv created Sun Mar  5 10:54:25 2017"
COUNTS = {"balanced_train": 12, "unbalanced_train": 14, "eval": 10}
# Left without any file; with a file of another start; in a format that cannot be read; with a damaged file.
MISSING, OTHER_START, UNREADABLE, BROKEN = (
    {"balanced_train": 2, "eval": 1},
    "unbalanced_train",
    "eval",
    "unbalanced_train",
)
REAL = [
    ("/m/09x0r", "Speech"),
    ("/m/05zppz", "Male speech, man speaking"),
    ("/m/02zsn", "Female speech, woman speaking"),
]
# subtype, rate, name after the id and before it
KINDS = [
    ("wav", "PCM_16", 16000, "{id}.wav"),
    ("flac", "PCM_16", 44100, "part a/{id}_30.000.flac"),
    ("ogg", "VORBIS", 48000, "deep/er/Y{id}_30000_40000.ogg"),
    ("mp3", "MPEG_LAYER_III", 32000, "Y{id}.mp3"),
    ("ogg", "OPUS", 48000, "opus/{id}-30-40.opus"),
    ("wav", "FLOAT", 22050, "by id/{id}/audio.wav"),
]
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


@dataclass(frozen=True)
class Corpus:
    """Where it is, and what is known of it: videos of every list, and why some have no features."""

    csv: Path
    audio: Path
    videos: dict[str, list[str]]
    gone: dict[str, str]


def classes() -> list[tuple[str, str]]:
    """527 identifiers and names; the first ones are real."""
    return REAL + [(f"/t/dd{i:05d}", f"Sound {i}, of a kind") for i in range(527 - len(REAL))]


def make(folder: Path, seed: int = 6) -> Corpus:
    """Write ``<folder>/csv`` and ``<folder>/my audio``."""
    rng = random.Random(seed)
    csv, audio = folder / "csv", folder / "my audio"
    csv.mkdir(parents=True)
    rows = "".join(f'{i},{mid},"{name}"\n' for i, (mid, name) in enumerate(classes()))
    (csv / "class_labels_indices.csv").write_text("index,mid,display_name\n" + rows)
    speech = [soundfile.read(path)[0] for path in sorted(SPEECH.rglob("*.flac"))[:40]]
    videos: dict[str, list[str]] = {}
    gone: dict[str, str] = {}
    number = 0
    for name, count in COUNTS.items():
        # Ids that begin with - and _ and Y; every list has one of each.
        videos[name] = [("-", "_", "Y", "a", "0")[i % 5] + "".join(rng.choices(LETTERS, k=10)) for i in range(count)]
        labels = [rng.sample(classes()[:6], k=1 + i % 3) for i in range(count)]
        write_list(csv / f"{name}_segments.csv", list(zip(videos[name], labels, strict=True)))
        for i, video in enumerate(videos[name]):
            number += 1
            if i >= count - MISSING.get(name, 0):
                gone[video] = "no file"
                continue
            kind, subtype, rate, pattern = KINDS[number % len(KINDS)]
            if i == 0 and name == OTHER_START:
                pattern, gone[video] = pattern.split("{id}")[0] + "{id}_70.000.wav", "other start"
                kind, subtype = "wav", "PCM_16"
            path = audio / pattern.format(id=video)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_clip(path, np.concatenate([speech[number % 40], speech[(number + 7) % 40]]), kind, subtype, rate)
            if i == 1 and name == UNREADABLE:
                path.rename(path.with_name(f"{video}.m4a"))
                gone[video] = "format"
            if i == 1 and name == BROKEN:
                path.write_bytes(path.read_bytes()[:20])
                gone[video] = "features failed"
    (audio / "notes.txt").write_text("not audio\n")
    soundfile.write(audio / "another thing.wav", np.zeros(800), 8000)
    return Corpus(csv, audio, videos, gone)


def write_list(path: Path, rows: list[tuple[str, list[tuple[str, str]]]]) -> None:
    """A list in the official form."""
    unique, positive = len({mid for _, row in rows for mid, _ in row}), sum(len(row) for _, row in rows)
    head = f"# num_ytids={len(rows)}, num_segs={len(rows)}, num_unique_labels={unique}, num_positive_labels={positive}"
    lines = [f'{video}, 30.000, 40.000, "{",".join(mid for mid, _ in row)}"' for video, row in rows]
    path.write_text("\n".join([HEADER, head, "# YTID, start_seconds, end_seconds, positive_labels", *lines]) + "\n")


def write_clip(path: Path, wave: np.ndarray, kind: str, subtype: str, rate: int) -> None:
    """Two channels in wav, as most downloads have them; the second is silent, so that a mixture would show."""
    wave = soxr.resample(wave[: 8000 * 3], 8000, rate)
    data = np.stack([wave, np.zeros_like(wave)], axis=1) if kind == "wav" else wave
    soundfile.write(path, np.clip(data, -1, 1), rate, format=kind.upper(), subtype=subtype)
