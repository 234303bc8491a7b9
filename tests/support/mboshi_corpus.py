"""A small corpus in the official layout of Mboshi: numbers said digit by digit, from the recordings of egs/mini."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from speechcommands_corpus import DIGITS, digit, read, write

SPEAKERS = {"abiayi": "allison_en", "kouarata": "june_fr", "martial": "carlo_it"}
PAUSE = np.zeros(1600, np.float32)  # 0.1 s between words


def make(folder: Path, train: int = 40, dev: int = 6) -> Path:
    """Write full_corpus_newsplit below ``folder``: so many utterances of two or three digits in each part. The head of
    the first training recording promises more samples than there are, as those of some published ones do."""
    random = np.random.default_rng(0)
    for part, count in (("train", train), ("dev", dev)):
        for i in range(count):
            speaker = list(SPEAKERS)[i % len(SPEAKERS)]
            words = random.choice(DIGITS, int(random.integers(2, 4))).tolist()
            stem = folder / "full_corpus_newsplit" / part / f"{speaker}_2015-09-08-11-18-39_phone_{part}_{i}"
            said = [piece for word in words for piece in (read(digit(SPEAKERS[speaker], word)), PAUSE)]
            write(stem.with_name(f"{stem.name}.wav"), np.concatenate(said))
            stem.with_name(f"{stem.name}.mb.cleaned").write_text(" ".join(words) + " \n", encoding="utf-8")
    promise_more(next((folder / "full_corpus_newsplit/train").glob("*_train_0.wav")))
    return folder


def promise_more(wave: Path, samples: int = 400) -> None:
    """Let the head of a wave file promise more samples than there are."""
    data = bytearray(wave.read_bytes())
    data[40:44] = (int.from_bytes(data[40:44], "little") + 2 * samples).to_bytes(4, "little")
    wave.write_bytes(data)
