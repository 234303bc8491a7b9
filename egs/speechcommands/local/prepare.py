#!/usr/bin/env python3
"""Speech Commands -> data directories all, train, valid and test of one task: v2_35 (words), v1_12 (ten commands,
_unknown_ and _silence_) or v1_words (the words of version 1 that are there, and training sets with few labels).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import speech_commands as corpus_layout
from silence import Excerpt, cut, recordings
from speech_commands import COMMANDS, RATE, SILENCE, UNKNOWN, Clip
from tqdm import tqdm

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.io.audio import audio_info
from asit.kaldi.data_dir import write_data_dir, write_labels

TASKS = {"v2_35": "0.02", "v1_12": "0.01", "v1_words": "0.01"}
PERCENTS, DRAWS = (1, 10), 3  # v1_words: train_1pct_0, ..., train_10pct_2


@dataclass(frozen=True)
class PrepareSettings(Options):
    """Where the corpus is, which task, where the data directories go."""

    corpus: str = option("downloads", "folder with the unpacked archives, such as speech_commands_v0.02")
    task: str = option(
        "v2_35",
        "v2_35: version 2, 35 words; v1_12: version 1, ten words, unknown and silence; v1_words: version 1, "
        "the words that are there, without copies, and training sets with 1 and 10 percent of the labels",
        TASKS,
    )
    data: str = option("data/v2_35", "folder to write the data directories into")
    silence_percent: float = option(
        10.0, "v1_12: clips of silence in training and validation, in percent of those of the commands", least=0
    )
    unknown_percent: float | None = option(
        None, "v1_12: unknown words in training, in percent of the commands' clips; none: all of them", least=0
    )
    check_counts: bool = option(True, "fail unless there are as many clips as are published")


@command
def main() -> None:
    """Check the corpus, write the data directories."""
    settings = parse(PrepareSettings)
    version = TASKS[settings.task]
    folder = corpus_layout.find(settings.corpus, f"speech_commands_v{version}")
    recorded = corpus_layout.read_clips(folder, version, partial=settings.task == "v1_words")
    parts = corpus_layout.divide(folder, recorded, settings.task == "v2_35", partial=settings.task == "v1_words")
    words = sorted({clip.word for clip in recorded})
    if settings.check_counts and words == list(corpus_layout.WORDS[version]):
        for part, clips in parts.items():
            corpus_layout.check_count(folder, len(clips), corpus_layout.CLIPS[version][part], part)
    if settings.task == "v2_35":
        classes = words
        sets: dict[str, list[Clip | Excerpt]] = {part: list(clips) for part, clips in parts.items()}
    elif settings.task == "v1_words":
        classes = words
        parts = without_copies(parts)
        sets = with_few_labels(parts)
    else:
        classes = [*COMMANDS, UNKNOWN, SILENCE]
        sets = twelve(settings, folder, parts)
    seconds = lengths([clip for clips in sets.values() for clip in clips if isinstance(clip, Clip)])
    everything = sorted({clip for clips in sets.values() for clip in clips})
    for name, chosen in {"all": everything, **sets}.items():
        write(Path(settings.data, name), chosen, seconds, classes)
    if settings.task == "v1_words":
        unheard = [*parts["valid"], *parts["test"]]  # nothing is pretrained on them
        for draw in range(DRAWS):
            for part, clips in corpus_layout.speakers_apart(unheard, draw).items():
                folder, names = Path(settings.data, f"speakers_{part}_{draw}"), sorted({clip.speaker for clip in clips})
                write(folder, list(clips), seconds, names, who=True)


def without_copies(parts: dict[str, list[Clip]]) -> dict[str, list[Clip]]:
    """The official parts without copies."""
    everything = {clip for clips in parts.values() for clip in clips}
    kept = set(corpus_layout.without_copies(everything))
    print(f"{len(everything)} clips, {len(everything) - len(kept)} of them copies of others, which are left out")
    return {part: [clip for clip in clips if clip in kept] for part, clips in parts.items()}


def with_few_labels(parts: dict[str, list[Clip]]) -> dict[str, list[Clip | Excerpt]]:
    """The parts, and the draws of few training labels."""
    few = {
        f"train_{percent}pct_{draw}": corpus_layout.few_labels(parts["train"], percent, draw)
        for percent in PERCENTS
        for draw in range(DRAWS)
    }
    return {name: list(clips) for name, clips in {**parts, **few}.items()}


def twelve(settings: PrepareSettings, folder: Path, parts: dict[str, list[Clip]]) -> dict[str, list[Clip | Excerpt]]:
    """Training, validation and the official test set of the twelve classes.

    The validation set is made as the test set is: as many unknown words, and as much silence, as a tenth of the
    commands' clips.
    """
    place = corpus_layout.find(settings.corpus, "speech_commands_test_set_v0.01")
    test = corpus_layout.read_test_set(place)
    if settings.check_counts:
        corpus_layout.check_count(place, len(test), corpus_layout.TEST_CLIPS["0.01"], "test")
    noises = recordings(folder)
    sets: dict[str, list[Clip | Excerpt]] = {"test": list(test)}
    for part, unknown_percent in (("train", settings.unknown_percent), ("valid", 10.0)):
        wanted = [clip for clip in parts[part] if clip.word in COMMANDS]
        others = [clip for clip in parts[part] if clip.word not in COMMANDS]
        if unknown_percent is not None:
            others = corpus_layout.choose(others, math.ceil(len(wanted) * unknown_percent / 100))
        sets[part] = [*wanted, *others, *cut(noises, part, math.ceil(len(wanted) * settings.silence_percent / 100))]
    shared = corpus_layout.count_speakers(
        {name: [clip for clip in clips if isinstance(clip, Clip)] for name, clips in sets.items()}
    )
    for names, count in shared.items():
        if count:
            raise AsitError(
                f"{place}: expected no speaker in {names}, found {count}; take the test set of version 0.01"
            )
    return sets


def lengths(clips: list[Clip]) -> dict[Path, float]:
    """Seconds of each clip.

    Raises:
        AsitError: a clip of zero length, of another rate or with several channels.
    """
    found = {}
    for clip in tqdm(clips, "audio", disable=None):
        samples, rate, channels = audio_info(clip.path, clip.utterance)
        if rate != RATE or channels != 1:
            raise AsitError(
                f"{clip.path}: expected one channel at {RATE} Hz, found {channels} at {rate} Hz; "
                "unpack the archive again"
            )
        found[clip.path] = samples / rate
    return found


def write(
    folder: Path,
    clips: list[Clip | Excerpt],
    seconds: dict[Path, float],
    classes: list[str],
    who: bool = False,
) -> None:
    """One data directory, its labels words or, with ``who``, speakers.

    Silence is cut out by ``segments``, of which every clip has a line then.
    """
    wavs, segments, speakers, labels = {}, {}, {}, {}
    for clip in clips:
        utterance = clip.utterance
        if isinstance(clip, Excerpt):
            recording, label, start, end = clip.recording, SILENCE, clip.start, clip.start + 1.0
            speakers[utterance] = clip.recording
        else:
            recording, start, end = utterance, 0.0, seconds[clip.path]
            label = clip.speaker if who else clip.word if clip.word in classes else UNKNOWN
            speakers[utterance] = clip.speaker
        wavs[recording] = str(clip.path)
        segments[utterance] = f"{recording} {start:.6f} {end:.6f}"
        labels[utterance] = label
    if len(labels) < len(clips):
        raise AsitError(f"{folder}: expected {len(clips)} utterance ids, found {len(labels)}: two clips have the same")
    tables = {"wav.scp": wavs, "utt2spk": speakers, "utt2label": labels}
    if any(isinstance(clip, Excerpt) for clip in clips):
        tables["segments"] = segments
    write_data_dir(folder, tables)
    write_labels(folder / "labels.txt", classes)
    counts = {name: list(labels.values()).count(name) for name in (UNKNOWN, SILENCE) if name in classes}
    more = "".join(f", {count} {name}" for name, count in counts.items())
    print(f"{folder}: {len(labels)} clips of {len(set(labels.values()))} classes{more}")


if __name__ == "__main__":
    raise SystemExit(main())
