"""The user's own copy of AudioSet's audio, in any layout: files found by the YouTube id in their names.

Names that are understood, in any folders (``<id>`` is 11 letters, digits, ``-`` and ``_``, and may begin with either):
``<id>.wav``, ``Y<id>.wav``, ``<id>_30.000.flac``, ``<id>_30_40.mp3``, ``Y<id>_30000_40000.ogg`` (seconds or
milliseconds, ``_`` or ``-`` between), ``<id>/audio.wav``. A file whose name has another start than the list is another
stretch of the video and not taken.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from asit.errors import AsitError
from asit.io.audio import audio_info

READABLE = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au"})
UNREADABLE = frozenset({".m4a", ".mp4", ".webm", ".mkv", ".aac", ".wma"})  # known from downloads; not by libsndfile
_ID, _TIMES = r"([A-Za-z0-9_-]{11})", r"(?:[_-](\d+(?:\.\d+)?)(?:[_-]\d+(?:\.\d+)?)?)?"
_NAMES = (re.compile(_ID + _TIMES), re.compile("Y" + _ID + _TIMES))
PROBES = 40  # files whose length is looked at
LONGER = 1.5  # seconds beyond a segment's length from which a file must be more than the segment


@dataclass
class Found:
    """Files by video, and what was seen beside them."""

    paths: dict[str, str] = field(default_factory=dict)
    timed: set[str] = field(default_factory=set)  # videos whose file names the start
    other_start: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    formats: Counter = field(default_factory=Counter)
    seen: int = 0
    duplicates: int = 0
    examples: list[str] = field(default_factory=list)  # audio of no known video

    def reason(self, video: str) -> str:
        """Why a video has no file."""
        if video in self.other_start:
            return f"other start: {self.other_start[video]}"
        if video in self.unreadable:
            return f"format that libsndfile cannot read: {self.unreadable[video]}"
        return "no file"


def ids_in(stem: str) -> Iterator[tuple[str, float | None]]:
    """What the name of a file may mean: (YouTube id, start as written or None).

    >>> list(ids_in("Y--4gqARaEJE_30000_40000")), list(ids_in("_gqARaEJE--")), list(ids_in("notes"))
    ([('--4gqARaEJE', 30000.0)], [('_gqARaEJE--', None)], [])
    """
    for pattern in _NAMES:
        match = pattern.fullmatch(stem)
        if match:
            yield match[1], float(match[2]) if match[2] else None


def find(audio_dir: str, starts: dict[str, float]) -> Found:
    """One file for every video that has one; of several the one that names the start, then the first by name.

    Args:
        starts: video -> start of its segment in seconds.

    Raises:
        AsitError: no such folder, or not a single file of a known video in it.
    """
    if not os.path.isdir(audio_dir):
        raise AsitError(f"{audio_dir}: no such folder; --audio-dir is your copy of AudioSet's audio")
    found = Found()
    for path in tqdm(_files(audio_dir), "audio files", unit="", disable=None):
        suffix = path[path.rfind(".") :].lower() if "." in path else ""
        if suffix in READABLE or suffix in UNREADABLE:
            found.seen += 1
            _take(found, path, suffix, starts)
    if not found.paths:
        shown = ", ".join(found.examples) or "none"
        raise AsitError(
            f"{audio_dir}: expected audio named by YouTube id, such as <id>.wav, Y<id>.flac or <id>_30.000.ogg; found "
            f"{found.seen} audio files, none of a listed video, such as: {shown}; check --audio-dir and the lists"
        )
    return found


def _take(found: Found, path: str, suffix: str, starts: dict[str, float]) -> None:
    folder, name = os.path.split(path)
    stem = name[: len(name) - len(suffix)]
    known = [(v, at) for v, at in ids_in(stem) if v in starts]
    known = known or [(v, at) for v, at in ids_in(os.path.basename(folder)) if v in starts]
    if not known:
        if len(found.examples) < 3:
            found.examples.append(path)
        return
    video, at = known[0]
    if suffix in UNREADABLE:
        found.unreadable[video] = path
    elif at is not None and not _same_start(at, starts[video]):
        found.other_start[video] = path
    else:
        old = found.paths.get(video)
        found.duplicates += old is not None
        timed = at is not None
        if old is None or (timed, old) > (video in found.timed, path):
            found.paths[video] = path
            found.formats[suffix] += 1
            if old is not None:
                found.formats[os.path.splitext(old)[1].lower()] -= 1
            if timed:
                found.timed.add(video)


def _same_start(written: float, start: float) -> bool:
    """Whether a number in a file's name is the start, in seconds or milliseconds."""
    return abs(written - start) < 0.5 or abs(written - 1000.0 * start) < 0.5


def _files(top: str) -> Iterator[str]:
    """All files below a folder; links to folders are followed, each folder is visited once."""
    visited: set[tuple[int, int]] = set()
    stack = [top]
    while stack:
        folder = stack.pop()
        try:
            state = os.stat(folder)
            if (state.st_dev, state.st_ino) in visited:
                continue
            visited.add((state.st_dev, state.st_ino))
            with os.scandir(folder) as entries:
                inside = list(entries)
        except OSError as error:
            raise AsitError(f"{folder}: cannot read the folder: {error.strerror}") from None
        for entry in inside:
            if entry.is_dir():
                stack.append(entry.path)
            elif entry.is_file():
                yield entry.path


def check_lengths(paths: dict[str, str], seconds: dict[str, float], whole_videos: bool) -> None:
    """Look at some files: are they cut segments, or whole videos?

    Raises:
        AsitError: most are longer than their segments although they should be cut.
    """
    videos = sorted(paths)[:: max(1, len(paths) // PROBES)]
    longer = looked = 0
    example = ""
    for video in videos:
        try:
            samples, rate, _ = audio_info(Path(paths[video]))
        except AsitError:
            continue  # the features stage names what cannot be read
        looked += 1
        if samples / rate > seconds[video] + LONGER:
            longer += 1
            example = f"{paths[video]} has {samples / rate:.1f} s, its segment {seconds[video]:g} s"
    if not whole_videos and 2 * longer > looked:
        raise AsitError(
            f"{longer} of {looked} files looked at are longer than their segments, such as: {example}; if these are "
            "whole videos, --whole-videos true cuts the segments out"
        )
