#!/usr/bin/env python3
"""AudioSet's lists and the user's own audio -> data/all and a labelled data directory for each set.

Sets: ``as2m`` (all training segments), ``as20k`` (the balanced ones), ``eval``; for choosing settings ``heldout`` (a
tenth of the balanced ones, by their ids) and ``as2m_train``, ``as20k_train`` without it. Segments without audio are
in ``data/<set>/missing_utts`` with the reason, so that they are counted beside every score.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import audio_files
from lists import PUBLISHED, Segment, file_of, read_classes, read_segments

from asit.config import REQUIRED, Options, option, parse
from asit.errors import AsitError, command
from asit.io.atomic import remove, write_text
from asit.io.checksum import hash_of
from asit.kaldi.data_dir import write_data_dir, write_labels

TRAIN = ("balanced_train", "unbalanced_train")
LISTS = {  # set -> lists
    "as2m": TRAIN,
    "as20k": TRAIN[:1],
    "eval": ("eval",),
    "heldout": TRAIN[:1],
    "as2m_train": TRAIN,
    "as20k_train": TRAIN[:1],
}
HELD_OUT = 0.1


@dataclass(frozen=True)
class Settings(Options):
    """Write AudioSet's data directories."""

    audio_dir: str = option(REQUIRED, "your copy of the audio, named by YouTube id, in any folders")
    csv_dir: str = option("downloads", "folder of the official lists")
    data: str = option("data", "folder of the data directories")
    sets: tuple[str, ...] = option(("as2m", "as20k", "eval"), "sets to write", tuple(LISTS))
    official: bool = option(True, "expect the published numbers of segments and classes; false: a part of the lists")
    whole_videos: bool = option(False, "the files are whole videos; the segments are cut out of them")
    min_found: float = option(0.5, "fail when a smaller share of a set has audio", least=0, most=1)


def held_out(video: str) -> bool:
    """Whether a balanced segment selects settings instead of training: by its id alone."""
    return int(hashlib.sha256(video.encode()).hexdigest()[:8], 16) < HELD_OUT * 2**32


def members(name: str, lists: dict[str, list[Segment]]) -> list[Segment]:
    """The segments of a set."""
    if name == "eval":
        return lists["eval"]
    balanced = "balanced_train"
    if name == "heldout":
        return [s for s in lists[balanced] if held_out(s.video)]
    less = {s.video for s in lists[balanced] if held_out(s.video)} if name.endswith("_train") else set()
    return [s for part in LISTS[name] for s in lists[part] if s.video not in less]


def read_lists(settings: Settings, classes: dict[str, str]) -> dict[str, list[Segment]]:
    """The lists that the sets need, and the evaluation list.

    Raises:
        AsitError: see :mod:`lists`; a video in two of them.
    """
    needed = [name for name in PUBLISHED if name == "eval" or any(name in LISTS[s] for s in settings.sets)]
    found: dict[str, list[Segment]] = {}
    owner: dict[str, str] = {}
    for name in needed:
        found[name] = read_segments(settings.csv_dir, name, classes, settings.official)
        for segment in found[name]:
            other = owner.setdefault(segment.video, name)
            if other != name:
                raise AsitError(
                    f"{file_of(settings.csv_dir, name)}: video {segment.video} is in {other} too; AudioSet's lists "
                    "share no video: fetch them again"
                )
        print(f"{file_of(settings.csv_dir, name)}: {len(found[name])} segments")
    return found


def write_set(path: Path, segments: list[Segment], found: audio_files.Found, settings: Settings, labels: bool) -> str:
    """A data directory of the segments that have audio, and the list of the others; a line for people.

    Raises:
        AsitError: fewer with audio than ``min_found``.
    """
    if not segments:
        raise AsitError(f"{path}: the lists have no segment for it; they are too short for this set")
    there = [s for s in segments if s.video in found.paths]
    missing = {s.utt: found.reason(s.video) for s in segments if s.video not in found.paths}
    if len(there) < max(1, settings.min_found * len(segments)):
        utt, why = min(missing.items())
        raise AsitError(
            f"{path}: audio of {len(there)} of {len(segments)} segments, expected at least {settings.min_found:.0%}; "
            f"{utt}: {why}; check --audio-dir or lower --min-found"
        )
    tables = {"wav.scp": {s.utt: found.paths[s.video] for s in there}, "utt2spk": {s.utt: s.utt for s in there}}
    if settings.whole_videos:
        tables["segments"] = {s.utt: f"{s.utt} {s.start:g} {s.end:g}" for s in there}
    if labels:
        tables["utt2label"] = {s.utt: s.labels for s in there}
    write_data_dir(path, tables)
    for old in ("missing_utts", "failed_utts"):
        remove(path / old)
    if missing:
        write_text(path / "missing_utts", "".join(f"{utt} {missing[utt]}\n" for utt in sorted(missing)))
    return f"{path}: audio of {len(there)} of {len(segments)} segments"


@command
def main() -> None:
    """Entry point."""
    settings = parse(Settings)
    classes = read_classes(settings.csv_dir, settings.official)
    lists = read_lists(settings, classes)
    everything = [s for segments in lists.values() for s in segments]
    found = audio_files.find(settings.audio_dir, {s.video: s.start for s in everything})
    audio_files.check_lengths(found.paths, {s.video: s.end - s.start for s in everything}, settings.whole_videos)
    formats = ", ".join(f"{count} {name}" for name, count in found.formats.most_common() if count)
    print(f"{settings.audio_dir}: {found.seen} audio files; of {len(found.paths)} segments: {formats}")
    print(f"  more than one file of a segment: {found.duplicates}; another start: {len(found.other_start)}")
    print(f"  in a format that cannot be read (convert them): {len(found.unreadable)}")
    whole = Path(settings.data, "all")
    print(write_set(whole, everything, found, settings, labels=False))
    for name in settings.sets:
        print(write_set(Path(settings.data, name), members(name, lists), found, settings, labels=True))
        write_labels(Path(settings.data, name, "labels.txt"), list(classes.values()))
    hashes = {file_of(settings.csv_dir, name).name: hash_of(file_of(settings.csv_dir, name)) for name in lists}
    write_text(Path(settings.data, "lists.sha256"), "".join(f"{value}  {name}\n" for name, value in hashes.items()))
    gigabytes = len(found.paths) * 1000 * 128 * 4 / 1e9
    print(f"features of 10 s clips: about {gigabytes:,.0f} GB as float32, a quarter of it with --compression 2")


if __name__ == "__main__":
    sys.exit(main())
