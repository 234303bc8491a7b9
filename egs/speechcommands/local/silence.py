"""Clips of silence: one second each, cut from the recordings in _background_noise_."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from speech_commands import NOISE, RATE

from asit.errors import AsitError
from asit.io.audio import audio_info

SECONDS = 1.0
PARTS = {"train": (0.0, 0.9), "valid": (0.9, 1.0)}  # of each recording; nothing is heard in both


class Excerpt(NamedTuple):
    """One second of a recording."""

    path: Path
    recording: str
    start: float

    @property
    def utterance(self) -> str:
        """``noise_pink_noise-012345``: recording and milliseconds."""
        return f"{self.recording}-{round(1000 * self.start):06d}"


def recordings(folder: Path) -> list[tuple[str, Path, float]]:
    """(id, file, seconds) of each noise.

    Raises:
        AsitError: no such folder, no recording, another rate, too short.
    """
    paths = sorted((folder / NOISE).glob("*.wav"))
    if not paths:
        raise AsitError(f"{folder / NOISE}: expected recordings of noise, found none; unpack the archive again")
    found = []
    for path in paths:
        samples, rate, _ = audio_info(path)
        if rate != RATE:
            raise AsitError(f"{path}: expected {RATE} Hz, found {rate} Hz; unpack the archive again")
        shortest = 2 * SECONDS / (PARTS["valid"][1] - PARTS["valid"][0])
        if samples / rate < shortest:
            raise AsitError(f"{path}: expected at least {shortest:.0f} s of noise, found {samples / rate:.1f} s")
        found.append((f"noise_{path.stem}", path, samples / rate))
    return found


def cut(noises: list[tuple[str, Path, float]], part: str, count: int) -> list[Excerpt]:
    """``count`` excerpts, equally far apart over the part of all recordings that is for ``part``; they overlap when
    there is less noise than that.
    """
    first, last = PARTS[part]
    rooms = [(last - first) * seconds - SECONDS for _, _, seconds in noises]  # where an excerpt can begin
    distance = sum(rooms) / max(count, 1)
    excerpts = []
    for number in range(count):
        at = (number + 0.5) * distance
        for (recording, path, seconds), room in zip(noises, rooms, strict=True):
            if at < room:
                excerpts.append(Excerpt(path, recording, round(first * seconds + at, 3)))
                break
            at -= room
    if len({excerpt.utterance for excerpt in excerpts}) < count:
        raise AsitError(f"expected {count} excerpts of silence for {part}, found room for fewer; add noise")
    return excerpts
