#!/usr/bin/env python3
"""Corpora with free licences -> data/pool, without what is tested anywhere in this toolkit; data/all for the features.

A corpus is a folder of that name below --corpora. What it may contribute stands in one function each. The rules of
three corpora are those of their recipes: PYTHONPATH names local/ of ../speechcommands, ../arabic_commands, ../asterisk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import arabic_commands as arabic
import corpus as prompts
import speech_commands as words
import splits

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.recipes.corpus import Recording, write_sets

MINI = Path(__file__).resolve().parents[2] / "mini"
GPL = "avatar"  # the one speaker of the prompts whose licence binds what is made of them


@dataclass(frozen=True)
class PrepareSettings(Options):
    """Where the corpora are and where the data directories go."""

    corpora: str = option("downloads", "folder with a folder for each corpus of conf/corpora.tsv")
    data: str = option("data", "folder to write the data directories into")
    partial: bool = option(False, "take the corpora that are there instead of asking for all of them")


def speech_commands(folder: Path) -> Iterator[Recording]:
    """The training part by the official rule."""
    for clip in words.read_clips(words.find(str(folder), "speech_commands_v0.01"), "0.01", partial=True):
        if words.partition(clip.path.name) == "train":
            yield Recording(str(clip.path), speaker=clip.speaker, name=f"{clip.word}_{clip.number}")


def arabic_commands(folder: Path) -> Iterator[Recording]:
    """The clips of train.csv."""
    for clip in arabic.recordings(str(folder), check_counts=False):
        if clip.split == "train":
            yield Recording(clip.path, speaker=f"arabic_{clip.speaker}", name=clip.name)


def librispeech(folder: Path) -> Iterator[Recording]:
    """All utterances, ``<speaker>-<chapter>-<number>.flac``."""
    for clip in sorted(folder.rglob("*-*-*.flac")):
        speaker, _, name = clip.stem.partition("-")
        yield Recording(str(clip), speaker=f"libri_{speaker}", name=name)


def speech_to_intent(folder: Path) -> Iterator[Recording]:
    """The commands as they were recorded; nothing tells who speaks."""
    for clip in sorted(folder.rglob("clean/*.wav")):
        yield Recording(str(clip), speaker=f"intent_{clip.stem}", name="command")


def free_spoken_digits(folder: Path) -> Iterator[Recording]:
    """The training part: takes 5 and later of ``<digit>_<speaker>_<take>.wav``."""
    for clip in sorted(folder.rglob("recordings/*.wav")):
        digit, speaker, take = clip.stem.split("_")
        if int(take) >= 5:
            yield Recording(str(clip), speaker=f"fsdd_{speaker}", name=f"{digit}_{take}")


def philharmonia(folder: Path) -> Iterator[Recording]:
    """All notes and phrases; the instrument stands for the speaker."""
    for clip in sorted(folder.rglob("*.mp3")):
        yield Recording(str(clip), speaker=f"philharmonia_{clip.parent.name.replace(' ', '_')}", name=clip.stem)


def asterisk(folder: Path) -> Iterator[Recording]:
    """What ../asterisk pretrains on, but for the voice under the GPL and the clips with which ../mini tests."""
    tested = set()
    for table in (MINI / "corpus" / "splits").glob("spk_[tv][ea][sl]*.tsv"):  # test, valid
        tested |= {Path(line.split("\t")[0]).with_suffix(".wav").as_posix() for line in table.read_text().splitlines()}
    for clip, _ in splits.splits(prompts.read_clips(prompts.read_voices()))["pool"].values():
        if clip.voice.speaker != GPL and clip.path not in tested:
            yield Recording(
                str(folder / clip.path),
                speaker=f"asterisk_{clip.voice.speaker}",
                name=f"{clip.voice.lang}_{clip.name.replace('/', '_')}",
            )


CORPORA: dict[str, Callable[[Path], Iterator[Recording]]] = {
    "speech_commands": speech_commands,
    "arabic_commands": arabic_commands,
    "librispeech_excerpts": librispeech,
    "librispeech_samples": librispeech,
    "speech_to_intent": speech_to_intent,
    "free_spoken_digits": free_spoken_digits,
    "philharmonia": philharmonia,
    "asterisk": asterisk,
}


@command
def main() -> None:
    """Write data/all and data/pool."""
    settings = parse(PrepareSettings)
    found: dict[str, Recording] = {}  # by utterance: the two collections of LibriSpeech share some
    for name, recordings in CORPORA.items():
        folder = Path(settings.corpora, name)
        if not folder.is_dir():
            if settings.partial:
                print(f"{folder}: not there, left out")
                continue
            raise AsitError(f"{folder}: no such corpus; conf/corpora.tsv says where it is, or give --partial true")
        own = list(recordings(folder))
        if not own:
            raise AsitError(f"{folder}: expected recordings of {name}, found none; unpack the archive again")
        print(f"{folder}: {len(own)} recordings for pretraining")
        found = {**{recording.utt: recording for recording in own}, **found}
    for name, count in write_sets(list(found.values()), settings.data).items():
        print(f"{settings.data}/{name}: {count} recordings")


if __name__ == "__main__":
    raise SystemExit(main())
