"""Small corpora in the official layout of Speech Commands, from the recordings of egs/mini.

Digits are digits, the other words are any prompt.
"""

from __future__ import annotations

import itertools
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

PROMPTS = Path(__file__).parents[2] / "egs/mini/corpus"
RATE = 16000
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = ("bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila", "tree", "wow")
V1 = (*COMMANDS, *OTHERS, *DIGITS)
V2 = (*V1, "backward", "follow", "forward", "learn", "visual")
# Speakers of the official training set and of the official lists, and the voices that stand for them
SPEAKERS = {
    "train": {"e91d173e": "allison_en", "9ce7a419": "june_fr"},
    "valid": {"8b775397": "carlo_it"},
    "test": {"2aa787cf": "menardi_it"},
}
NOISES = {"doing_the_dishes": 30, "white_noise": 24}  # seconds


def make(folder: Path, version: str) -> Path:
    """Write speech_commands_v<version> below ``folder``: every word once by every speaker, the lists, the noise."""
    corpus = folder / f"speech_commands_v{version}"
    lists: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for part, speakers in SPEAKERS.items():
        for speaker, voice in speakers.items():
            prompts = other_prompts(voice)
            for word in V1 if version == "0.01" else V2:
                name = f"{word}/{speaker}_nohash_0.wav"
                write(corpus / name, read(digit(voice, word)) if word in DIGITS else next(prompts))
                lists[part].append(name)
    (corpus / "validation_list.txt").write_text("\n".join(lists["valid"]))  # no newline at the end, as officially
    (corpus / "testing_list.txt").write_text("\n".join(lists["test"]))
    (corpus / "LICENSE").write_text("CC BY 4.0\n")
    for (name, seconds), voice in zip(NOISES.items(), ("carlo_it", "june_fr"), strict=True):
        prompts = other_prompts(voice)
        wave = np.concatenate([next(prompts) for _ in range(seconds)])[: seconds * RATE]
        write(corpus / "_background_noise_" / f"{name}.wav", 0.1 * np.pad(wave, (0, seconds * RATE - len(wave))))
    (corpus / "_background_noise_" / "README.md").write_text("noise\n")
    return corpus


def make_test_set(folder: Path, version: str = "0.01") -> Path:
    """Write speech_commands_test_set_v<version>: commands, _unknown_ and _silence_, named as officially."""
    corpus = folder / f"speech_commands_test_set_v{version}"
    (speaker, voice), *_ = SPEAKERS["test"].items()
    prompts = other_prompts(voice)
    for word in COMMANDS:
        write(corpus / word / f"{speaker}_nohash_0.wav", next(prompts))
    for word in ("bed", "nine"):
        write(corpus / "_unknown_" / f"{word}_{speaker}_nohash_0.wav.wav", next(prompts))
    for number in (104, 1035):
        write(corpus / "_silence_" / f"{number}.wav", 0.01 * next(prompts))
    return corpus


def digit(voice: str, word: str) -> Path:
    """The voice's recording of a digit."""
    return PROMPTS / voice / "digits" / f"{DIGITS.index(word)}.flac"


def other_prompts(voice: str) -> Iterator[np.ndarray]:
    """The voice's prompts, again and again; the words of one are not those of another."""
    return (read(path) for path in itertools.cycle(sorted((PROMPTS / voice).glob("*.flac"))))


def read(path: Path) -> np.ndarray:
    """At most one second at 16 kHz."""
    wave, rate = soundfile.read(path, dtype="float32")
    return soxr.resample(wave, rate, RATE)[:RATE]


def write(path: Path, wave: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, RATE, format="WAV")


def archive(corpus: Path, folder: Path) -> Path:
    """<folder>/<name>.tar.gz as the official ones: members ./yes/…, no folder above them."""
    path = folder / f"{corpus.name}.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        tar.add(corpus, ".")
    return path
