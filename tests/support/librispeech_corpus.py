"""A small corpus in the official layout of LibriSpeech: numbers said digit by digit, of the recordings of egs/mini."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from speechcommands_corpus import DIGITS, RATE, digit, read

# part -> speaker and the voice that stands for it
PARTS = {
    "train-clean-100": {"103": "allison_en", "1034": "june_fr"},
    "dev-clean": {"84": "carlo_it"},
    "test-clean": {"61": "menardi_it"},
    "test-other": {"367": "menardi_it"},
}


def make(folder: Path, train: int = 12, others: int = 3) -> Path:
    """Write LibriSpeech below ``folder``: so many utterances of two or three digits of each speaker in a chapter."""
    random = np.random.default_rng(0)
    for part, speakers in PARTS.items():
        for speaker, voice in speakers.items():
            chapter = folder / "LibriSpeech" / part / speaker / "1240"
            chapter.mkdir(parents=True)
            lines = []
            for i in range(train if part.startswith("train") else others):
                words = random.choice(DIGITS, int(random.integers(2, 4))).tolist()
                utt = f"{speaker}-1240-{i:04d}"
                wave = np.concatenate([read(digit(voice, word)) for word in words])
                soundfile.write(chapter / f"{utt}.flac", wave, RATE)
                lines.append(f"{utt} {' '.join(words).upper()}\n")
            (chapter / f"{speaker}-1240.trans.txt").write_text("".join(lines), encoding="utf-8")
    return folder
