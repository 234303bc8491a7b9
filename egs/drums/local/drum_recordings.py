"""The recordings of local/recordings.tsv: read from their packages, decoded, one channel, one rate, cut to length."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile
import soxr

from asit.errors import AsitError
from asit.io.debian_package import Package, find_deb, read_deb, read_packages

HERE = Path(__file__).resolve().parent
SETS = ("train", "valid", "test")
FADE = 0.02  # seconds at the end of a recording that is cut
OGG_IN_WAV = 0x674F  # "Og": an Ogg stream as the data of a wav file, which libsndfile does not open


@dataclass(frozen=True)
class Kit:
    """A row of local/kits.tsv: the kit and the set that all of it belongs to."""

    kit: str
    set: str
    author: str
    licence: str


@dataclass(frozen=True)
class Recording:
    """A row of local/recordings.tsv."""

    package: str
    path: str  # in the package
    label: str
    kit: str

    @property
    def utt(self) -> str:
        """Utterance id, the kit first: ``GMRockKit-ride-24Ride-1``."""
        return f"{self.kit}-{self.label}-{re.sub(r'[^A-Za-z0-9_.+-]+', '_', Path(self.path).stem)}"


Row = TypeVar("Row", Kit, Recording)


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """Rows of a tab-separated table with the fields of ``kind`` as its columns.

    Raises:
        AsitError: the file is missing, other columns, a line with another number of fields, no line.
    """
    names = [field.name for field in dataclasses.fields(kind)]
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise AsitError(f"{path}: cannot read: {error.strerror}; restore it from git") from None
    if not lines or lines[0].split("\t") != names:
        raise AsitError(f"{path}:1: expected the columns {' '.join(names)}, found '{lines[0] if lines else ''}'")
    rows = [line.split("\t") for line in lines[1:]]
    for number, row in enumerate(rows, 2):
        if len(row) != len(names) or not all(row):
            raise AsitError(f"{path}:{number}: expected {len(names)} fields, found {len([x for x in row if x])}")
    if not rows:
        raise AsitError(f"{path}: expected a line for each {kind.__name__.lower()}, found none; restore it from git")
    return [kind(*row) for row in rows]


def read_tables(folder: Path = HERE) -> tuple[dict[str, Kit], list[Recording], list[Package]]:
    """Kits by name, recordings by utterance id in order, packages.

    Raises:
        AsitError: malformed tables, a kit or package that is not listed, an unknown set, the same utterance id twice.
    """
    kits = {kit.kit: kit for kit in read_rows(folder / "kits.tsv", Kit)}
    recordings = sorted(read_rows(folder / "recordings.tsv", Recording), key=lambda r: r.utt)
    packages = read_packages(folder / "packages.tsv", Package)
    for kit in kits.values():
        if kit.set not in SETS:
            raise AsitError(f"{folder / 'kits.tsv'}: kit '{kit.kit}': expected a set of {SETS}, found '{kit.set}'")
    known = {package.package for package in packages}
    for number, recording in enumerate(recordings):
        where = f"{folder / 'recordings.tsv'}: '{recording.path}'"
        if recording.kit not in kits:
            raise AsitError(f"{where}: kit '{recording.kit}' is not in kits.tsv; add it")
        if recording.package not in known:
            raise AsitError(f"{where}: package '{recording.package}' is not in packages.tsv; add it")
        if number and recordings[number - 1].utt == recording.utt:
            raise AsitError(f"{where}: second recording of the utterance id {recording.utt}; rename one")
    return kits, recordings, packages


def read_recordings(
    debs: Path, recordings: list[Recording], packages: list[Package]
) -> Iterator[tuple[Recording, bytes]]:
    """Each recording with the bytes of its file, package by package.

    Raises:
        AsitError: a package that is missing, damaged or of another version, or that lacks a recording.
    """
    for package in packages:
        own = {recording.path: recording for recording in recordings if recording.package == package.package}
        if not own:
            continue
        deb = find_deb(debs, package, fetch=False)
        files = read_deb(deb, package, own.__contains__)
        missing = sorted(own.keys() - files.keys())
        if missing:
            raise AsitError(
                f"{deb}: expected {len(own)} recordings of recordings.tsv inside, {len(missing)} are not, such as "
                f"'{missing[0]}'; packages.tsv names another package than the table was made from"
            )
        yield from ((own[path], files[path]) for path in sorted(own))


def decode(content: bytes, rate: int, seconds: float) -> np.ndarray:
    """Samples float32 (n,) at ``rate``: channels averaged, the first ``seconds`` with a short fade if more follows.

    An Ogg stream inside a wav file is taken out of it.

    Raises:
        AsitError: not audio, no samples, only zeros, or NaN.
    """
    at = content.find(b"OggS")
    is_wav = content[:4] == b"RIFF" and content[8:16] == b"WAVEfmt "
    if is_wav and at >= 0 and int.from_bytes(content[20:22], "little") == OGG_IN_WAV:
        content = content[at:]
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as stream:
            samples, found = stream.read(dtype="float32", always_2d=True), stream.samplerate
    except (soundfile.LibsndfileError, RuntimeError) as error:
        reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
        raise AsitError(f"cannot be decoded ({reason}); expected wav, flac, aiff or ogg") from None
    wave = samples.mean(axis=1)
    if not wave.size:
        raise AsitError("expected samples, found none")
    if not np.isfinite(wave).all():
        raise AsitError("expected numbers as samples, found NaN or infinite ones")
    if not wave.any():
        raise AsitError("expected a sound, found zeros only")
    if found != rate:
        wave = soxr.resample(wave, found, rate, quality="HQ").astype(np.float32)
    return cut(wave, round(seconds * rate), round(FADE * rate))


def cut(wave: np.ndarray, samples: int, fade: int) -> np.ndarray:
    """At most the first ``samples``; where more follow, the last ``fade`` of them go linearly to zero.

    >>> cut(np.ones(6), 4, 2).tolist()
    [1.0, 1.0, 0.5, 0.0]
    """
    if len(wave) <= samples:
        return wave
    wave = wave[:samples].copy()
    wave[samples - fade :] *= np.linspace(1, 0, fade + 1, dtype=wave.dtype)[1:]
    return wave
