"""What the corpus consists of: packages.tsv, a voice a line, and manifest.tsv, a clip a line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asit.errors import AsitError
from asit.io.debian_package import Package, read_packages

HERE = Path(__file__).resolve().parent
RATE = 8000
COLUMNS = ["voice", "name", "word", "digit", "samples"]


@dataclass(frozen=True)
class Voice(Package):
    """A person speaking a language, and the package that holds it."""

    voice: str
    speaker: str
    lang: str
    prefix: str  # the voice's folder in the package


@dataclass(frozen=True)
class Clip:
    """A recorded prompt."""

    voice: Voice
    name: str  # path in the voice's folder, without suffix
    word: str  # of the spelling alphabet, or -
    digit: str  # 0 to 9, in the voice's language, or -
    samples: int  # at RATE

    @property
    def prompt(self) -> str:
        """What is said: named alike by all voices, but for one folder of one of them."""
        return self.name.replace("phonetic/ICAO/", "phonetic/")

    @property
    def path(self) -> str:
        """Where stage `download` puts the clip, below its folder."""
        return f"{self.voice.voice}/{self.name}.wav"

    @property
    def utt(self) -> str:
        """Utterance id, the speaker first: ``allison-en-digits_1``."""
        return f"{self.voice.speaker}-{self.voice.lang}-{self.name.replace('/', '_')}"

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples / RATE


def read_voices(path: Path = HERE / "packages.tsv") -> list[Voice]:
    """The rows of packages.tsv, in file order."""
    return read_packages(path, Voice)


def read_clips(voices: list[Voice], path: Path = HERE / "manifest.tsv") -> list[Clip]:
    """The rows of manifest.tsv, in file order.

    Raises:
        AsitError: no such file, other columns, or a line that is not a clip of one of the voices.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise AsitError(f"{path}: cannot read: {error.strerror}; restore it from git") from None
    if not lines or lines[0].split("\t") != COLUMNS:
        raise AsitError(f"{path}:1: expected the columns {' '.join(COLUMNS)}; restore the file from git")
    by_name = {voice.voice: voice for voice in voices}
    clips = []
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if len(fields) != len(COLUMNS) or fields[0] not in by_name or not fields[4].isdigit():
            raise AsitError(
                f"{path}:{number}: expected a voice of packages.tsv, {' '.join(COLUMNS[1:])}, found {line!r}"
            )
        clips.append(Clip(by_name[fields[0]], *fields[1:4], int(fields[4])))
    return clips
