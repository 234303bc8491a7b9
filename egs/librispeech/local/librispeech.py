"""LibriSpeech as it is published: <part>/<speaker>/<chapter>/<speaker>-<chapter>-<number>.flac, and beside them the
transcripts of a chapter in capitals, <speaker>-<chapter>.trans.txt."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from asit.errors import AsitError, excerpt
from asit.kaldi.table import read_table

SETS = {"train": "train-clean-100", "valid": "dev-clean", "test_clean": "test-clean", "test_other": "test-other"}


class Utterance(NamedTuple):
    """A recording and what is said in it; its id is the file's name."""

    utt: str
    speaker: str
    path: str
    text: str


def find(corpus: str) -> Path:
    """The folder with the parts: ``corpus`` or ``corpus/LibriSpeech``.

    Raises:
        AsitError: neither has one of them.
    """
    for folder in (Path(corpus), Path(corpus, "LibriSpeech")):
        if any((folder / part).is_dir() for part in SETS.values()):
            return folder
    raise AsitError(f"{corpus}: expected {', '.join(SETS.values())}, or LibriSpeech with them, found no such folder")


def counts(archives: str) -> dict[str, int]:
    """How many utterances each part has, from ``archives.tsv``."""
    return {part: int(row.split()[0]) for part, row in read_table(archives).items()}


def utterances(folder: Path, part: str, expected: int | None) -> list[Utterance]:
    """All of a part, sorted by id.

    Args:
        expected: how many there are, None: as many as there are.

    Raises:
        AsitError: no such part, another number, a recording without a transcript or a transcript without a recording.
    """
    found: list[Utterance] = []
    for chapter in sorted(path for path in (folder / part).glob("*/*") if path.is_dir()):
        speaker = chapter.parent.name
        transcripts = chapter / f"{speaker}-{chapter.name}.trans.txt"
        table, audio = read_table(transcripts), {path.stem: path for path in chapter.glob("*.flac")}
        odd = min(table.keys() ^ audio.keys(), default=None)
        if odd is not None:
            lacks = "recording" if odd in table else "line"
            raise AsitError(
                f"{transcripts}: '{excerpt(odd)}': expected a recording and a line of each, found no {lacks}"
            )
        found += [Utterance(utt, speaker, str(audio[utt]), text) for utt, text in table.items()]
    if not found:
        raise AsitError(f"{folder / part}: expected <speaker>/<chapter>/<utterance>.flac, found none")
    if expected is not None and len(found) != expected:
        raise AsitError(
            f"{folder / part}: expected {expected} utterances, found {len(found)}; unpack the archive again, or give "
            "--check-counts false to take a part of them"
        )
    return sorted(found)
