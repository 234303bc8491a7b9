"""Speech Commands as it is published (Warden, arXiv 1804.03209): <word>/<speaker>_nohash_<number>.wav at 16 kHz,
validation_list.txt, testing_list.txt, _background_noise_/*.wav; and the test sets for twelve classes.
"""

from __future__ import annotations

import collections
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from asit.errors import AsitError, nearest
from asit.kaldi.data_dir_parts import shuffled

RATE = 16000
NOISE, SILENCE, UNKNOWN = "_background_noise_", "_silence_", "_unknown_"
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
OTHERS = ("bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila", "tree", "wow")
WORDS = {  # the folders of each version
    "0.01": tuple(sorted(COMMANDS + NUMBERS + OTHERS)),
    "0.02": tuple(sorted((*COMMANDS, *NUMBERS, *OTHERS, "backward", "follow", "forward", "learn", "visual"))),
}
CLIPS = {  # of the training, validation and testing part, as the official lists divide the official archives
    "0.01": {"train": 51088, "valid": 6798, "test": 6835},
    "0.02": {"train": 84843, "valid": 9981, "test": 11005},
}
TEST_CLIPS = {"0.01": 3081}  # of the test set for twelve classes
LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
NAME = re.compile(r"(?P<speaker>[0-9a-f]+)_nohash_(?P<number>\d+)\.wav")
CLIPS_OF_SPEAKER = 20  # from this many on, a speaker is one to tell apart
TEST_NAME = re.compile(r"((?P<word>[a-z]+)_)?(?P<speaker>[0-9a-f]+)_nohash_(?P<number>\d+)\.wav(\.wav)?")
LARGEST_HASH = 2**27 - 1  # MAX_NUM_WAVS_PER_CLASS of the README's code


class Clip(NamedTuple):
    """A recorded word, or a part of a noise."""

    path: Path
    word: str
    speaker: str
    number: str

    @property
    def utterance(self) -> str:
        """``8b775397-cat-0``: begins with the speaker."""
        return f"{self.speaker}-{self.word}-{self.number}"


def partition(name: str, valid_percent: float = 10.0, test_percent: float = 10.0) -> str:
    """train, valid or test for a file name: by a hash of its speaker, as the README of the corpus defines it.

    The part of the name before ``_nohash_`` decides, so a speaker is in one part only, whatever files are added.

    >>> partition("bobby_nohash_0.wav") == partition("bobby_nohash_1.wav")
    True
    """
    speaker = re.sub(r"_nohash_.*$", "", name)
    hashed = int(hashlib.sha1(speaker.encode(), usedforsecurity=False).hexdigest(), 16) % (LARGEST_HASH + 1)
    percent = hashed * (100.0 / LARGEST_HASH)
    if percent < valid_percent:
        return "valid"
    return "test" if percent < valid_percent + test_percent else "train"


def find(corpus: str, name: str) -> Path:
    """The folder of an unpacked archive: ``name`` in ``corpus``, in its SpeechCommands, beside it, or itself."""
    given = Path(corpus)
    tried = [given / name, given / "SpeechCommands" / name, given.parent / name, given]
    for folder in tried[:3]:
        if folder.is_dir() and any(folder.glob("*/*.wav")):
            return folder
    if "test_set" not in name and (given / NOISE).is_dir():
        return given
    inside = sorted(path.name for path in given.iterdir())[:8] if given.is_dir() else "no such folder"
    raise AsitError(f"{corpus}: expected {name} with folders of words in it, found {inside}; check --corpus")


def read_clips(folder: Path, version: str, partial: bool = False) -> list[Clip]:
    """Every recorded word; with ``partial`` of the words that are there, two at least.

    Raises:
        AsitError: a folder that is no word of the version, a word without a folder, a malformed file name.
    """
    words = WORDS[version]
    folders = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and path.name != NOISE}
    for name in folders:
        if name not in words:
            raise AsitError(f"{folder / name}: unknown word for version {version}: {nearest(name, words)}")
    missing = [word for word in words if not any(folders.get(word, folder / word).glob("*.wav"))]
    if len(missing) > (len(words) - 2 if partial else 0):
        expected = "two words at least" if partial else f"{len(words)} words"
        raise AsitError(
            f"{folder}: expected clips of {expected}, found none of {', '.join(missing)}; "
            f"unpack speech_commands_v{version}.tar.gz again"
        )
    clips = []
    for word, place in folders.items():
        for path in sorted(place.glob("*.wav")):
            name = NAME.fullmatch(path.name)
            if name is None:
                raise AsitError(f"{path}: expected a name such as 8b775397_nohash_0.wav")
            clips.append(Clip(path, word, name["speaker"], name["number"]))
    return clips


def divide(folder: Path, clips: list[Clip], lists: bool, partial: bool = False) -> dict[str, list[Clip]]:
    """The clips by part: after the official lists, which must be there with ``lists``, and the hashing rule, which
    must agree with them. ``partial``: the lists may name words that are not there.

    Raises:
        AsitError: a list is missing, names a clip that is not there or in both lists, or disagrees with the rule.
    """
    by_rule = {f"{clip.word}/{clip.path.name}": partition(clip.path.name) for clip in clips}
    there = {clip.word for clip in clips}
    present = [name for name in LISTS.values() if (folder / name).is_file()]
    if lists and len(present) < len(LISTS):
        raise AsitError(
            f"{folder}: expected {' and '.join(LISTS.values())}, found {present or 'neither'}; unpack the archive again"
        )
    listed: dict[str, str] = {}
    for part, name in LISTS.items():
        if name not in present:
            continue
        for number, line in enumerate((folder / name).read_text(encoding="utf-8").splitlines(), 1):
            where = f"{folder / name}:{number}"
            if partial and line.partition("/")[0] not in there:
                continue
            if line not in by_rule:
                raise AsitError(f"{where}: expected a clip of the corpus, found '{line}', which is not there")
            if line in listed:
                raise AsitError(f"{where}: {line} is listed twice; a clip is in one part only")
            if by_rule[line] != part:
                raise AsitError(
                    f"{where}: expected a speaker whom the hashing rule puts into {part}, found {line} of "
                    f"{by_rule[line]}; take the official list"
                )
            listed[line] = part
    if len(present) == len(LISTS):
        left = [name for name, part in by_rule.items() if part != "train" and name not in listed]
        if left:
            raise AsitError(
                f"{folder}: expected every clip of the validation and testing part in its list, found {len(left)} "
                f"that are in neither, such as {min(left)}; take the official lists"
            )
    parts: dict[str, list[Clip]] = {"train": [], "valid": [], "test": []}
    for clip in clips:
        parts[by_rule[f"{clip.word}/{clip.path.name}"]].append(clip)
    return parts


def without_copies(clips: Iterable[Clip]) -> list[Clip]:
    """The clips without copies: of those with the same bytes the first by word and name stays; none of them does
    where they stand under different words, since one of the labels is wrong.

    The corpus has about one clip in 200 twice. A copy would count twice in the test set, and for nothing in a small
    label set.
    """
    by_content: dict[bytes, list[Clip]] = {}
    for clip in tqdm(sorted(clips), "duplicates", disable=None):
        by_content.setdefault(hashlib.sha256(clip.path.read_bytes()).digest(), []).append(clip)
    return sorted(same[0] for same in by_content.values() if len({clip.word for clip in same}) == 1)


def few_labels(clips: Iterable[Clip], percent: float, draw: int) -> list[Clip]:
    """That share of each word's clips by chance, one at least; a smaller share is part of a larger one of the draw."""
    by_word: dict[str, dict[str, Clip]] = {}
    for clip in clips:
        by_word.setdefault(clip.word, {})[clip.utterance] = clip
    return [
        of_word[utt]
        for of_word in by_word.values()
        for utt in shuffled(list(of_word), draw)[: max(1, round(len(of_word) * percent / 100))]
    ]


def speakers_apart(clips: Iterable[Clip], draw: int) -> dict[str, list[Clip]]:
    """Who speaks: of each speaker with 20 clips or more a fifth to test, a fifth to validate, by chance, and the others
    to train on. Nothing where fewer than two speakers have as many."""
    by_speaker: dict[str, dict[str, Clip]] = {}
    for clip in clips:
        by_speaker.setdefault(clip.speaker, {})[clip.utterance] = clip
    enough = [said for said in by_speaker.values() if len(said) >= CLIPS_OF_SPEAKER]
    parts: dict[str, list[Clip]] = {"train": [], "valid": [], "test": []} if len(enough) > 1 else {}
    for said in enough if parts else ():
        order, fifth = shuffled(list(said), draw), len(said) // 5
        parts["test"] += [said[utt] for utt in order[:fifth]]
        parts["valid"] += [said[utt] for utt in order[fifth : 2 * fifth]]
        parts["train"] += [said[utt] for utt in order[2 * fifth :]]
    return parts


def read_test_set(folder: Path) -> list[Clip]:
    """The official test set for twelve classes; ``word`` is the class, _silence_ and _unknown_ among them.

    Names in _unknown_ are ``bed_3ff840aa_nohash_0.wav.wav``, in _silence_ ``1035.wav``.
    """
    classes = (*COMMANDS, UNKNOWN, SILENCE)
    found = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if found != sorted(classes):
        raise AsitError(f"{folder}: expected the folders {', '.join(sorted(classes))}, found {', '.join(found)}")
    clips = []
    for name in classes:
        for path in sorted((folder / name).glob("*.wav")):
            match = TEST_NAME.fullmatch(path.name)
            if name == SILENCE:
                clips.append(Clip(path, name, f"silence_{path.stem}", "0"))
            elif match is None or (match["word"] is None) != (name != UNKNOWN):
                example = "bed_3ff840aa_nohash_0.wav.wav" if name == UNKNOWN else "26b28ea7_nohash_0.wav"
                raise AsitError(f"{path}: expected a name such as {example}")
            else:
                spoken = match["word"] or ""
                clips.append(Clip(path, name, match["speaker"], f"{spoken}{match['number']}"))
    return clips


def check_count(where: Path, found: int, expected: int, what: str) -> None:
    """Raise unless there are as many clips as are published."""
    if found != expected:
        raise AsitError(
            f"{where}: expected {expected} {what} clips, found {found}; unpack the archive again, or accept a part of "
            "the corpus with --check-counts false"
        )


def choose(clips: Iterable[Clip], count: int) -> list[Clip]:
    """``count`` of the clips by chance, but always the same: those with the smallest sha256 of word and name."""

    def key(clip: Clip) -> str:
        return hashlib.sha256(f"{clip.word}/{clip.path.name}".encode()).hexdigest()

    return sorted(sorted(clips, key=key)[:count])


def count_speakers(parts: dict[str, list[Clip]]) -> dict[str, int]:
    """Number of speakers in more than one part, by the names of the two."""
    speakers = {name: {clip.speaker for clip in clips} for name, clips in parts.items()}
    shared: collections.Counter[str] = collections.Counter()
    names = list(speakers)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            shared[f"{first} and {second}"] = len(speakers[first] & speakers[second])
    return dict(shared)
