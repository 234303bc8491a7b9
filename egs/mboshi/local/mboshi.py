"""The Mboshi corpus as it is published: full_corpus_newsplit/{train,dev}/<speaker>_<date>_…_<number>.wav, and beside
each recording its Mboshi transcript in lower case, ``.mb.cleaned``."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path
from typing import NamedTuple

import soundfile

from asit.errors import AsitError
from asit.io.atomic import atomic_open
from asit.recipes.recording import identifier, speaker_id

PARTS = {"train": 4616, "dev": 514}  # utterances as published
FOLDER = "full_corpus_newsplit"
HEAD = 44  # bytes before the samples
HELD_OUT = 10  # a tenth of the training sentences selects the weights


class Utterance(NamedTuple):
    """A recording and what is said in it."""

    name: str
    speaker: str
    path: str
    text: str

    @property
    def utt(self) -> str:
        """``<speaker>-<the rest of the file's name>``."""
        return f"{speaker_id(self.speaker)}-{identifier(self.name)}"


def find(corpus: str) -> Path:
    """The folder with ``train`` and ``dev``: below ``corpus`` or, as archives have one folder, below the one in it.

    Raises:
        AsitError: there is none.
    """
    for folder in (Path(corpus), *sorted(path for path in Path(corpus).glob("*") if path.is_dir())):
        if all((folder / FOLDER / part).is_dir() for part in PARTS):
            return folder / FOLDER
    raise AsitError(f"{corpus}: expected {FOLDER}/train and {FOLDER}/dev, found no such folder")


def utterances(folder: Path, part: str, check_counts: bool) -> list[Utterance]:
    """All of an official part, sorted by name.

    Raises:
        AsitError: another number of recordings than published, one without a transcript or with an empty one, a name
            without a speaker.
    """
    waves = sorted((folder / part).glob("*.wav"))
    if check_counts and len(waves) != PARTS[part]:
        raise AsitError(
            f"{folder / part}: expected {PARTS[part]} recordings, found {len(waves)}; take the whole corpus"
        )
    return [_utterance(wave) for wave in waves]


def _utterance(wave: Path) -> Utterance:
    transcript = wave.with_name(f"{wave.stem}.mb.cleaned")
    speaker, _, name = wave.stem.partition("_")
    if not name:
        raise AsitError(f"{wave}: expected a name <speaker>_<date>_…, found '{wave.stem}'")
    try:
        text = " ".join(unicodedata.normalize("NFC", transcript.read_text(encoding="utf-8")).split())
    except (OSError, UnicodeDecodeError) as error:
        raise AsitError(
            f"{transcript}: expected the transcript of {wave.name}: {error}; take the corpus again"
        ) from None
    if not text:
        raise AsitError(f"{transcript}: expected the transcript of {wave.name}, found nothing; take the corpus again")
    return Utterance(name, speaker, str(wave), text)


def repaired(utterance: Utterance, folder: Path) -> Utterance:
    """The utterance, or one with a copy in ``folder`` whose head tells the samples that are there: of 78 published
    recordings the head promises some hundredths of a second more, and asit takes such files for damaged."""
    wave = Path(utterance.path)
    with wave.open("rb") as stream:
        head = stream.read(HEAD)
    if head[36:40] != b"data" or HEAD + int.from_bytes(head[40:HEAD], "little") <= wave.stat().st_size:
        return utterance
    samples, rate = soundfile.read(wave, dtype="int16")
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_open(folder / wave.name, "wb") as stream:
        soundfile.write(stream, samples, rate, format="WAV", subtype="PCM_16")
    return utterance._replace(path=str(folder / wave.name))


def is_held_out(text: str) -> bool:
    """Whether a training sentence is among those that select the weights: a function of the sentence alone, so that all
    its takes are on one side, as the official parts have no sentence in common."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % HELD_OUT == 0
