"""Which prompts of the packages enter the corpus, and in which part. Pure functions of the samples and the names.

A *prompt* is what is said, named alike in every package (``agent-pass``, ``digits/1``); each prompt belongs to one of
train, valid and test for all voices together, so that no prompt is heard in two of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from asit.errors import AsitError

RATE = 8000
SPELLING = (
    "alfa bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa quebec romeo "
    "sierra tango uniform victor whiskey xray yankee zulu"
)
WORDS = {word[0]: word for word in SPELLING.split()}
# The folder of the spelling alphabet by voice. Carlo's phonetic/ holds Italian towns (Ancona, Bologna, ...).
ALPHABET = {
    "allison_en": "phonetic/",
    "allison_es": "phonetic/",
    "june_fr": "phonetic/",
    "ivrvoice_ru": "phonetic/",
    "menardi_it": "phonetic/ICAO/",
}
# Not speech, or empty by purpose.
NOT_SPEECH = ("silence/", "beep", "ascending-2tone", "descending-2tone", "tt-monkeys")
# Contained in another clip of the same voice (`invalid`, correlation 0.998); found by `same_recordings`.
CONTAINED = {("june_fr", "pbx-invalid")}
# Pretraining pool: seconds by voice. The other two voices stay unheard (word spotting: dev ivrvoice, test menardi).
POOL_SECONDS = {"allison_en": 250, "allison_es": 117, "carlo_it": 84, "june_fr": 300}
POOL_DURATION = (1.6, 12.0)
# Voices that are never pretrained on: labelled training clips by voice, for speaker identification.
UNHEARD_TRAIN = {"ivrvoice_ru": 28, "menardi_it": 28}
UNHEARD_DURATION = (1.6, 2.6)
# Further clips for valid and test, so that every speaker has about 75 there.
MORE_HELD_OUT = {"allison_en": 4, "allison_es": 4, "carlo_it": 32, "ivrvoice_ru": 35, "june_fr": 34, "menardi_it": 31}
HELD_OUT_DURATION = (0.9, 1.7)
SHARES = {"test": 0.30, "valid": 0.045}  # of the prompts; spelling alphabet and digits are never in train
# Pool and train take their clips from this share of a voice's, the ones of fewest bits a sample: 20 minutes in 12 MB.
CHEAP_SHARE = 0.64


@dataclass(frozen=True)
class Clip:
    """A prompt spoken by a voice. `samples` is int16 (n,) at 8 kHz."""

    voice: str
    name: str  # path in the package below the voice's folder, without .wav
    source: str  # path in the package
    samples: np.ndarray

    @property
    def prompt(self) -> str:
        """The name under which all voices share it: the spelling alphabet is in another folder for one of them."""
        return self.name.replace("phonetic/ICAO/", "phonetic/")

    @property
    def seconds(self) -> float:
        """Duration."""
        return len(self.samples) / RATE

    @property
    def word(self) -> str:
        """The word of the spelling alphabet that is said, or -."""
        folder = ALPHABET.get(self.voice)
        letter = self.name.removeprefix(folder or "?").removesuffix("_p")
        return WORDS.get(letter, "-") if folder and self.name == f"{folder}{letter}_p" else "-"

    @property
    def digit(self) -> str:
        """The digit that is said (in the voice's language), or -."""
        stem = self.name.removeprefix("digits/")
        return stem if self.name.startswith("digits/") and len(stem) == 1 and stem.isdigit() else "-"


def rank(*words: str) -> str:
    """A fixed pseudo-random order: sort by this.

    >>> rank("a", "b") == rank("a", "b") != rank("b", "a")
    True
    """
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def part_of(prompt: str) -> str:
    """train, valid or test: a function of the prompt's name alone, the same for all voices."""
    held_out = prompt.startswith("phonetic/") or (prompt.startswith("digits/") and len(prompt) == len("digits/0"))
    scale = 1 / (SHARES["test"] + SHARES["valid"]) if held_out else 1.0
    x = int(rank("part", prompt)[:8], 16) / 2**32 / scale
    if x < SHARES["valid"]:
        return "valid"
    return "test" if x < SHARES["valid"] + SHARES["test"] else "train"


def bits_per_sample(samples: np.ndarray) -> float:
    """About what FLAC needs: log2 of the mean absolute second difference, in blocks of 576 samples, plus a sign."""
    difference = np.abs(np.diff(samples.astype(np.int64), 2))
    blocks = [difference[i : i + 576] for i in range(0, len(difference), 576)]
    return round(sum(len(b) * (1 + np.log2(1 + b.mean())) for b in blocks) / max(len(difference), 1), 4)


def usable(clips: list[Clip]) -> tuple[list[Clip], list[tuple[Clip, str]]]:
    """Clips that hold speech, and the rest with the reason."""
    good, bad = [], []
    for clip in clips:
        if clip.name.startswith(NOT_SPEECH):
            bad.append((clip, "not speech"))
        elif (clip.voice, clip.name) in CONTAINED:
            bad.append((clip, "contained in another clip"))
        elif len(clip.samples) < RATE // 8:
            bad.append((clip, "shorter than 0.125 s"))
        elif np.sqrt(np.mean(clip.samples.astype(np.float64) ** 2)) < 300:
            bad.append((clip, "near silent"))
        else:
            good.append(clip)
    return good, bad


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """Largest normalised correlation of the shorter signal with any stretch of the longer one (1: contained)."""
    short, long = sorted((a.astype(np.float64), b.astype(np.float64)), key=len)
    size = 1 << (len(long) + len(short)).bit_length()
    products = np.fft.irfft(np.fft.rfft(long, size) * np.conj(np.fft.rfft(short, size)), size)
    lags = len(long) - len(short) + 1
    energy = np.concatenate([[0.0], np.cumsum(long**2)])
    energy = energy[len(short) :][:lags] - energy[:lags]
    return float(np.max(products[:lags] / np.sqrt(np.maximum(energy, 1.0) * np.sum(short**2))))


def same_recordings(clips: list[Clip], threshold: float = 0.9) -> list[tuple[Clip, Clip]]:
    """Pairs of one voice where a clip is a stretch of the other, and pairs of any voices with equal samples."""
    pairs, seen = [], {}
    for clip in clips:
        key = clip.samples.tobytes()
        if key in seen:
            pairs.append((seen[key], clip))
        seen[key] = clip
    for i, a in enumerate(clips):
        pairs += [(a, b) for b in clips[:i] if a.voice == b.voice and similarity(a.samples, b.samples) > threshold]
    return pairs


def choose(clips: list[Clip]) -> list[tuple[str, Clip]]:
    """(role, clip) of the corpus, role one of pool, train, valid, test; sorted by voice and name.

    A pool clip is also a training clip of speaker identification; `train` marks those of voices outside the pool.
    """
    chosen: list[tuple[str, Clip]] = []
    for voice in sorted({clip.voice for clip in clips}):
        own = sorted((c for c in clips if c.voice == voice), key=lambda c: rank("clip", c.prompt))
        limit = np.quantile([bits_per_sample(c.samples) for c in own], CHEAP_SHARE)
        cheap = [c for c in own if bits_per_sample(c.samples) <= limit]
        for clip in own:
            town = voice == "carlo_it" and clip.name.startswith("phonetic/")  # instead of a spelling alphabet
            if clip.word != "-" or clip.digit != "-" or town:
                chosen.append((part_of(clip.prompt), clip))
        taken = {clip.name for _, clip in chosen if clip.voice == voice}
        held_out = [
            c for c in own if c.name not in taken and part_of(c.prompt) != "train" and _within(c, HELD_OUT_DURATION)
        ]
        chosen += [(part_of(c.prompt), c) for c in held_out[: MORE_HELD_OUT[voice]]]
        train = [c for c in cheap if part_of(c.prompt) == "train"]
        if voice in UNHEARD_TRAIN:
            few = [c for c in train if _within(c, UNHEARD_DURATION)]
            chosen += [("train", c) for c in few[: UNHEARD_TRAIN[voice]]]
            continue
        seconds = 0.0
        for clip in (c for c in train if _within(c, POOL_DURATION)):
            if seconds >= POOL_SECONDS[voice]:
                break
            seconds += clip.seconds
            chosen.append(("pool", clip))
        if seconds < POOL_SECONDS[voice]:
            raise AsitError(f"{voice}: {seconds:.0f} s for the pool, expected {POOL_SECONDS[voice]}; change the limits")
    return sorted(chosen, key=lambda pair: (pair[1].voice, pair[1].name))


def _within(clip: Clip, limits: tuple[float, float]) -> bool:
    return limits[0] <= clip.seconds <= limits[1]
