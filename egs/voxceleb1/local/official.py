"""VoxCeleb1's official lists, and where the recordings that they name are. Used by prepare.py."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

from asit.errors import AsitError
from asit.kaldi.table import read_text

SETS = {"1": "train", "2": "valid", "3": "test"}  # of iden_split.txt
# What the lists must hold; sizes of the sets of iden_split.txt, and trials of one speaker and of two.
SPLIT = {"train": 138361, "valid": 6904, "test": 8251}
SPEAKERS, TEST_SPEAKERS = 1251, 40
TRIALS = {"veri_test.txt": (18860, 18860), "veri_test2.txt": (18802, 18809)}

READABLE = (".wav", ".flac", ".ogg", ".opus", ".mp3")  # the first that is there is taken
SPEAKER = re.compile(r"id1\d{4}")
DEPTH = 3  # <corpus>/vox1_dev_wav/wav/id10001
CLIP = re.compile(r"(id1\d{4})/([^/\s]+)/(\d{5})\.wav")


def read_iden_split(path: str) -> dict[str, str]:
    """``iden_split.txt``: clip (``id10001/1zcIwhmdeo4/00001.wav``) -> train, valid or test.

    Raises:
        AsitError: a line of another form, or a clip that is listed twice (file and line).
    """
    found: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if len(words) != 2 or words[0] not in SETS or not CLIP.fullmatch(words[1]):
            raise AsitError(
                f"{path}:{number}: expected '<set> id10001/<video>/00001.wav' with set 1, 2 or 3, found '{line}'"
            )
        if words[1] in found:
            raise AsitError(f"{path}:{number}: {words[1]} is listed twice; fetch the list anew")
        found[words[1]] = SETS[words[0]]
    speakers = {name: {speaker_of(clip) for clip, own in found.items() if own == name} for name in SETS.values()}
    for name, own in speakers.items():
        for unknown in sorted(own - speakers["train"]):
            raise AsitError(f"{path}: speaker {unknown} of set {name} has no clip in set train to learn from")
    return found


def check_split(path: str, split: dict[str, str]) -> None:
    """Raise unless the list has the official numbers of clips and speakers."""
    sizes, speakers = Counter(split.values()), len({speaker_of(clip) for clip in split})
    if sizes != SPLIT or speakers != SPEAKERS:
        raise AsitError(
            f"{path}: expected {SPLIT['train']}, {SPLIT['valid']} and {SPLIT['test']} clips of {SPEAKERS} speakers, "
            f"found {sizes['train']}, {sizes['valid']} and {sizes['test']} of {speakers}; fetch the list anew, or give "
            "--check-counts false for another one"
        )


def check_trials(path: str, same: int, other: int, speakers: int) -> None:
    """Raise unless the list has the official numbers of trials and speakers."""
    expected = TRIALS[os.path.basename(path)]
    if (same, other) != expected or speakers != TEST_SPEAKERS:
        raise AsitError(
            f"{path}: expected {expected[0]} trials of one speaker and {expected[1]} of two, by {TEST_SPEAKERS} "
            f"speakers, found {same} and {other} by {speakers}; fetch the list anew, or give --check-counts false"
        )


def speaker_of(clip: str) -> str:
    """``id10001`` of ``id10001/1zcIwhmdeo4/00001.wav``."""
    return clip.partition("/")[0]


def utterance_of(clip: str) -> str:
    """The utterance id of a clip, which begins with its speaker.

    >>> utterance_of("id10001/1zcIwhmdeo4/00001.wav")
    'id10001-1zcIwhmdeo4-00001'
    """
    return clip.rpartition(".")[0].replace("/", "-")


def find_recordings(corpus: str) -> tuple[dict[str, str], list[str]]:
    """Clip, as the lists name it -> audio file; and clips that are there in a format that cannot be read only.

    Folders of speakers are looked for in ``corpus`` and down to three levels below it, so that one folder ``wav``,
    and ``vox1_dev_wav/wav`` beside ``vox1_test_wav/wav``, are found alike.

    Raises:
        AsitError: no such folder, no folders of speakers, a clip that is there twice.
    """
    root = Path(corpus)
    if not corpus or not root.is_dir():
        raise AsitError(
            f"{corpus or 'no corpus given'}: no such folder; give the one that holds VoxCeleb1's wav/ with --corpus"
        )
    speakers = _speaker_folders(root)
    found: dict[str, str] = {}
    unreadable: list[str] = []
    for folder in speakers:
        for video in sorted(path for path in folder.iterdir() if path.is_dir()):
            files = set(os.listdir(video))
            for stem in sorted({name.rpartition(".")[0] for name in files}):
                clip = f"{folder.name}/{video.name}/{stem}.wav"
                name = next((stem + suffix for suffix in READABLE if stem + suffix in files), None)
                if name is None:
                    unreadable.append(clip)
                elif clip in found:
                    raise AsitError(f"{found[clip]} and {video / name}: the same clip twice; keep one copy")
                else:
                    found[clip] = str(video / name)
    return found, unreadable


def _speaker_folders(root: Path) -> list[Path]:
    """Folders ``id1dddd``; those of the second release, by their path."""
    found: list[Path] = []
    seen: list[str] = []
    level = [root]
    for _ in range(DEPTH):
        below = [Path(entry.path) for folder in level for entry in os.scandir(folder) if entry.is_dir()]
        found += [folder for folder in below if SPEAKER.fullmatch(folder.name)]
        seen += [folder.name for folder in below]
        level = [folder for folder in below if not SPEAKER.fullmatch(folder.name)]
    if not found:
        names = f"found {', '.join(sorted(seen)[:3])}" if seen else "found no folders"
        raise AsitError(
            f"{root}: expected folders id10001 to id11251 in it, in wav/, or in vox1_dev_wav/wav/ and "
            f"vox1_test_wav/wav/, {names}; the first release, whose folders have the names of people, is not used here"
        )
    return sorted(found)
