#!/usr/bin/env python3
"""AudioSet's lists: which segment of which video, with which labels (Gemmeke et al., ICASSP 2017).

A segment list begins with three comment lines; the second states how many segments and labels follow, and the third
names the columns: YouTube id, start and end in seconds, the labels' identifiers in quotes. As a command this file
checks lists against those numbers.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.io.checksum import hash_of
from asit.kaldi.table import read_text

CLASSES = "class_labels_indices.csv"
# Segments and labels of the published lists, as their second lines state them.
PUBLISHED = {"balanced_train": (22160, 52882), "unbalanced_train": (2041789, 4020212), "eval": (20371, 51804)}
NUMBER_OF_CLASSES = 527
YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")


class Segment(NamedTuple):
    """One line: the video's YouTube id, seconds, class names separated by commas."""

    video: str
    start: float
    end: float
    labels: str

    @property
    def utt(self) -> str:
        """``Y<id>``: an id may begin with - or _, which commands would take for an option."""
        return f"Y{self.video}"


@dataclass(frozen=True)
class Settings(Options):
    """Check AudioSet's lists and print how many segments and labels each has."""

    csv_dir: str = option("downloads", f"folder of the lists and of {CLASSES}")
    lists: tuple[str, ...] = option(tuple(PUBLISHED), "which", tuple(PUBLISHED))
    official: bool = option(True, "expect the published numbers; false: a part of the lists, which says how many")


def file_of(csv_dir: str, name: str) -> Path:
    """The file of a list."""
    return Path(csv_dir, f"{name}_segments.csv")


def read_classes(csv_dir: str, official: bool = True) -> dict[str, str]:
    """Identifier (``/m/09x0r``) -> name without blanks and commas (``Speech``), in the order of the indices.

    Raises:
        AsitError: other columns, indices out of order, a name or identifier that occurs twice, not 527 classes.
    """
    path = Path(csv_dir, CLASSES)
    rows = list(csv.reader(read_text(str(path)).splitlines()))
    if not rows or rows[0] != ["index", "mid", "display_name"]:
        raise AsitError(
            f"{path}:1: expected the header index,mid,display_name, found {','.join(rows[0]) if rows else ''!r}"
        )
    names: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != 3 or row[0] != str(number - 2):
            raise AsitError(f"{path}:{number}: expected '{number - 2},identifier,name', found '{','.join(row)}'")
        name = re.sub(r"[\s,]+", "_", row[2].strip())
        if row[1] in names or name in names.values():
            raise AsitError(f"{path}:{number}: '{row[1]}' or '{row[2]}' is there already; fetch the file again")
        names[row[1]] = name
    if official and len(names) != NUMBER_OF_CLASSES:
        raise AsitError(f"{path}: expected {NUMBER_OF_CLASSES} classes, found {len(names)}; fetch the file again")
    return names


def read_segments(csv_dir: str, name: str, classes: dict[str, str], official: bool = True) -> list[Segment]:
    """All segments of a list.

    Raises:
        AsitError: a line of another form, an unknown label or a video that occurs twice (each with its line), not as
            many segments and labels as the list's second line states, or (``official``) as were published.
    """
    path = file_of(csv_dir, name)
    text = read_text(str(path))
    stated = _stated(text, str(path))
    found: list[Segment] = []
    seen: set[str] = set()
    combinations: dict[str, str] = {}
    labels = 0
    for number, (video, start, end, mids) in _rows(text, str(path)):
        if mids not in combinations:
            combinations[mids] = _names(mids, classes, f"{path}:{number}")
        if video in seen:
            raise AsitError(f"{path}:{number}: video {video} is there already; AudioSet takes one segment of a video")
        seen.add(video)
        labels += mids.count(",") + 1
        found.append(Segment(video, start, end, combinations[mids]))
    expected = {f"line 2 of {path} states": stated} | ({"were published": PUBLISHED[name]} if official else {})
    for source, numbers in expected.items():
        if numbers != (len(found), labels):
            raise AsitError(
                f"{path}: expected {numbers[0]} segments with {numbers[1]} labels, as {source}, "
                f"found {len(found)} with {labels}; fetch it again (a part of the official list: --official false)"
            )
    return found


def _stated(text: str, path: str) -> tuple[int, int]:
    """Segments and labels that the comment lines state."""
    head = text[:2000]
    segments, labels = re.search(r"num_segs=(\d+)", head), re.search(r"num_positive_labels=(\d+)", head)
    if not segments or not labels:
        raise AsitError(
            f"{path}:2: expected '# num_ytids=…, num_segs=…, …, num_positive_labels=…', found '{head[:60]!r}'"
        )
    return int(segments[1]), int(labels[1])


def _rows(text: str, path: str) -> Iterator[tuple[int, tuple[str, float, float, str]]]:
    """(line number, (video, start, end, identifiers)) of every line that is no comment."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#") or not line:
            continue
        words = line.split(", ", 3)
        if len(words) != 4:  # written again by another program: other blanks and quotes
            words = next(csv.reader([line], skipinitialspace=True))
        try:
            video, start, end, mids = words
            segment = (video, float(start), float(end), mids.strip().strip('"'))
        except ValueError:
            raise AsitError(f"{path}:{number}: expected 'id, start, end, \"labels\"', found '{line}'") from None
        if not YOUTUBE_ID.fullmatch(video):
            raise AsitError(f"{path}:{number}: expected a YouTube id of 11 letters, digits, - and _, found '{video}'")
        if not 0 <= segment[1] < segment[2]:
            raise AsitError(f"{path}:{number}: expected 0 <= start < end, found {start} and {end}")
        yield number, segment


def _names(mids: str, classes: dict[str, str], where: str) -> str:
    names = []
    for mid in mids.split(","):
        if mid not in classes:
            raise AsitError(f"{where}: label '{mid}' is not in {CLASSES}; take both files from the same place")
        names.append(classes[mid])
    return ",".join(dict.fromkeys(names))


@command
def main() -> None:
    """Entry point."""
    settings = parse(Settings)
    classes = read_classes(settings.csv_dir, settings.official)
    for name in settings.lists:
        segments = read_segments(settings.csv_dir, name, classes, settings.official)
        path = file_of(settings.csv_dir, name)
        print(f"{path}: {len(segments)} segments, as its second line states; sha256 {hash_of(path)}")


if __name__ == "__main__":
    raise SystemExit(main())
