"""corpus/manifest.tsv: one line for each clip, and the checks that the FLAC files are those clips."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from asit.errors import AsitError
from asit.io.atomic import write_text

if TYPE_CHECKING:
    from selection import Clip


@dataclass(frozen=True)
class Entry:
    """A line of the manifest; `seconds` to 1/8000 s, `sha256` that of the int16 little-endian samples."""

    path: str  # relative to corpus/
    voice: str
    speaker: str
    lang: str
    prompt: str
    role: str  # pool, train (speaker identification only), valid, test
    word: str  # of the spelling alphabet, or -
    digit: str  # 0-9 or -
    seconds: float
    package: str
    source: str  # path in the package
    sha256: str

    @classmethod
    def of(cls, clip: Clip, role: str, speaker: str, lang: str, package: str) -> Entry:
        """The line that describes a clip."""
        path = f"{clip.voice}/{clip.name}.flac"
        words = (clip.word, clip.digit, clip.seconds, package, clip.source, digest(clip.samples))
        return cls(path, clip.voice, speaker, lang, clip.prompt, role, *words)

    @property
    def utt(self) -> str:
        """Utterance id, the speaker first: ``allison-en-digits_1``."""
        name = self.path.split("/", 1)[1].removesuffix(".flac")
        return f"{self.speaker}-{self.lang}-{name.replace('/', '_')}"


FIELDS = [f.name for f in dataclasses.fields(Entry)]


def digest(samples: np.ndarray) -> str:
    """SHA-256 of the samples as int16 little endian: the same whatever encoder wrote the file."""
    return hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()


def read_flac(path: Path) -> np.ndarray:
    """int16 samples (n,)."""
    if not path.is_file():
        raise AsitError(f"{path}: missing; restore it: git checkout -- {path}")
    try:
        samples, _ = soundfile.read(path, dtype="int16")
    except soundfile.SoundFileError as error:
        raise AsitError(f"{path}: cannot decode ({error}); restore it: git checkout -- {path}") from error
    return samples


def write_manifest(corpus: Path, entries: list[Entry]) -> None:
    """Write corpus/manifest.tsv."""
    rows = [[str(getattr(e, name)) for name in FIELDS] for e in entries]
    write_text(corpus / "manifest.tsv", "".join("\t".join(row) + "\n" for row in [FIELDS, *rows]))


def read_manifest(corpus: Path) -> list[Entry]:
    """The clips in file order.

    Raises:
        AsitError: no manifest, another header, or a line with another number of fields.
    """
    path = corpus / "manifest.tsv"
    if not path.is_file():
        raise AsitError(f"{path}: missing; restore it from git, or run local/build_corpus.py")
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or lines[0].split("\t") != FIELDS:
        raise AsitError(f"{path}:1: expected the columns {' '.join(FIELDS)}; restore the file from git")
    entries = []
    for number, line in enumerate(lines[1:], 2):
        row = dict(zip(FIELDS, line.split("\t"), strict=False))
        try:
            entries.append(Entry(**{**row, "seconds": float(row["seconds"])}))  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError):
            raise AsitError(f"{path}:{number}: expected {len(FIELDS)} fields; restore the file from git") from None
    return entries
