"""ESC-50 as it is published: audio/*.wav and meta/esc50.csv (Piczak 2015, github.com/karolpiczak/ESC-50).

A clip is ``{fold}-{Freesound id}-{take}-{target}.wav``; the table says the same and names the class.
"""

from __future__ import annotations

import collections
import csv
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from asit.errors import AsitError, nearest
from asit.io.audio import audio_info

RATE, SECONDS = 44100, 5.0
FOLDS = ("1", "2", "3", "4", "5")
CLIPS_PER_CLASS_AND_FOLD = 8
NAME = re.compile(r"(?P<fold>[1-9])-(?P<source>\d+)-(?P<take>[A-Z])-(?P<target>\d+)\.wav")
# fmt: off
CLASSES = (  # in the order of the targets
    "dog", "rooster", "pig", "cow", "frog", "cat", "hen", "insects", "sheep", "crow", "rain", "sea_waves",
    "crackling_fire", "crickets", "chirping_birds", "water_drops", "wind", "pouring_water", "toilet_flush",
    "thunderstorm", "crying_baby", "sneezing", "clapping", "breathing", "coughing", "footsteps", "laughing",
    "brushing_teeth", "snoring", "drinking_sipping", "door_wood_knock", "mouse_click", "keyboard_typing",
    "door_wood_creaks", "can_opening", "washing_machine", "vacuum_cleaner", "clock_alarm", "clock_tick",
    "glass_breaking", "helicopter", "chainsaw", "siren", "car_horn", "engine", "train", "church_bells", "airplane",
    "fireworks", "hand_saw",
)
# fmt: on
ESC10 = (  # its subset, under CC BY
    "dog",
    "rooster",
    "rain",
    "sea_waves",
    "crackling_fire",
    "crying_baby",
    "sneezing",
    "clock_tick",
    "helicopter",
    "chainsaw",
)  # fmt: skip


class Clip(NamedTuple):
    """One line of meta/esc50.csv."""

    name: str
    fold: str
    source: str
    label: str

    @property
    def utterance(self) -> str:
        """``1-100032-A-0``."""
        return self.name.removesuffix(".wav")

    @property
    def speaker(self) -> str:
        """Fold and original recording, ``1-100032``: the beginning of the utterance's name."""
        return f"{self.fold}-{self.source}"


def find(corpus: str) -> Path:
    """The folder with audio/ and meta/esc50.csv: ``corpus`` or ESC-50-master in it."""
    tried = (Path(corpus), Path(corpus, "ESC-50-master"))
    for folder in tried:
        if (folder / "audio").is_dir() and (folder / "meta/esc50.csv").is_file():
            return folder
    inside = sorted(path.name for path in tried[0].iterdir())[:8] if tried[0].is_dir() else "no such folder"
    raise AsitError(
        f"{corpus}: expected audio/ and meta/esc50.csv in it or in ESC-50-master, found {inside}; check --corpus"
    )


def read_clips(folder: Path) -> list[Clip]:
    """The table, compared line by line with the names of the files, and as a whole with those in audio/.

    Raises:
        AsitError: other columns, a malformed or doubled name, a fold, target or class that disagrees with it, a file
            that is only in the table or only in audio/.
    """
    table = folder / "meta/esc50.csv"
    with open(table, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    columns = list(rows[0]) if rows else []
    if not {"filename", "fold", "target", "category"} <= set(columns):
        raise AsitError(f"{table}:1: expected the columns filename, fold, target and category, found {columns}")
    clips = [_clip(row, f"{table}:{number}") for number, row in enumerate(rows, 2)]
    listed, there = {clip.name for clip in clips}, {path.name for path in (folder / "audio").glob("*.wav")}
    if len(listed) < len(clips):
        name = collections.Counter(clip.name for clip in clips).most_common(1)[0][0]
        raise AsitError(f"{table}: expected each clip once, found {name} again")
    for names, where in ((listed - there, "are in the table, not in audio/"), (there - listed, "the table lacks")):
        if names:
            raise AsitError(
                f"{folder}: expected the same clips in audio/ and in {table.name}, found {len(names)} that {where}, "
                f"such as {min(names)}; unpack the archive again"
            )
    return sorted(clips)


def _clip(row: dict[str, str], where: str) -> Clip:
    name = NAME.fullmatch(row["filename"] or "")
    if name is None:
        raise AsitError(f"{where}: expected a clip such as 1-100032-A-0.wav, found '{row['filename']}'")
    for column in ("fold", "target"):
        if row[column] != name[column]:
            raise AsitError(
                f"{where}: {name[0]}: expected {column} {name[column]}, as in its name, found {row[column]}"
            )
    if row["fold"] not in FOLDS:
        raise AsitError(f"{where}: {name[0]}: expected fold 1 to 5, found {row['fold']}")
    label = row["category"]
    if label not in CLASSES:
        raise AsitError(f"{where}: {name[0]}: unknown class '{label}': {nearest(label, CLASSES)}")
    if CLASSES.index(label) != int(name["target"]):
        raise AsitError(
            f"{where}: {name[0]}: expected target {CLASSES.index(label)} for {label}, found {row['target']}"
        )
    return Clip(name[0], name["fold"], name["source"], label)


def check_counts(folder: Path, clips: list[Clip]) -> None:
    """Raise unless every class has 8 clips in every fold, 2000 in all."""
    counts = collections.Counter((clip.label, clip.fold) for clip in clips)
    for label in CLASSES:
        for fold in FOLDS:
            if counts[label, fold] != CLIPS_PER_CLASS_AND_FOLD:
                raise AsitError(
                    f"{folder}: expected {CLIPS_PER_CLASS_AND_FOLD} clips of {label} in fold {fold}, found "
                    f"{counts[label, fold]}, and 2000 in all, found {len(clips)}; "
                    "a part of the corpus is accepted with --check-counts false"
                )


def check_audio(folder: Path, clips: list[Clip], rate: int) -> None:
    """Raise unless every clip has one channel at ``rate`` Hz and lasts 5 s; the first that has not is named."""
    for clip in tqdm(clips, "audio", disable=None):
        samples, found, channels = audio_info(folder / "audio" / clip.name, clip.utterance)
        if found != rate:
            raise AsitError(
                f"{folder}/audio/{clip.name}: expected {rate} Hz, found {found} Hz; a copy of another rate is accepted "
                f"with --sample-rate {found}"
            )
        if channels != 1 or abs(samples / found - SECONDS) > 0.01:
            raise AsitError(
                f"{folder}/audio/{clip.name}: expected one channel of 5 s, found {channels} of "
                f"{samples / found:.3f} s; unpack the archive again"
            )


def digest(folder: Path) -> str:
    """sha256 over the lines ``md5  name`` of audio/*.wav, sorted by name: one number for all bytes of the clips."""
    lines = hashlib.sha256()
    for path in tqdm(sorted((folder / "audio").glob("*.wav"), key=lambda path: path.name), "md5", disable=None):
        md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        lines.update(f"{md5}  {path.name}\n".encode())
    return lines.hexdigest()
