#!/usr/bin/env python3
"""ESC-50 -> data/all and, for each official fold, data/train_fold<f> (the other four) and data/test_fold<f>;
ESC-10, its subset, in the same folds: data/train_esc10_fold<f> and data/test_esc10_fold<f>.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass
from pathlib import Path

from esc50 import CLASSES, ESC10, FOLDS, RATE, Clip, check_audio, check_counts, find, read_clips

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.kaldi.data_dir import write_data_dir, write_labels


@dataclass(frozen=True)
class PrepareSettings(Options):
    """Where the corpus is and where the data directories go."""

    corpus: str = option("downloads/ESC-50", "folder with audio/ and meta/esc50.csv, or with ESC-50-master")
    data: str = option("data", "folder to write the data directories into")
    sample_rate: int = option(RATE, "expected of the clips, Hz; copies at 16000 are common")
    check_counts: bool = option(True, "fail unless every class has 8 clips in every fold")


def write(folder: Path, audio: Path, clips: list[Clip], classes: list[str]) -> None:
    """One data directory."""
    tables = {
        "wav.scp": {clip.utterance: str(audio / clip.name) for clip in clips},
        "utt2spk": {clip.utterance: clip.speaker for clip in clips},
        "utt2label": {clip.utterance: clip.label for clip in clips},
    }
    write_data_dir(folder, tables)
    write_labels(folder / "labels.txt", classes)
    print(f"{folder}: {len(clips)} clips of {len({clip.label for clip in clips})} classes")


@command
def main() -> None:
    """Check the corpus, write the data directories."""
    settings = parse(PrepareSettings)
    corpus = find(settings.corpus)
    clips = read_clips(corpus)
    if settings.check_counts:
        check_counts(corpus, clips)
    check_audio(corpus, clips, settings.sample_rate)
    present = {clip.label for clip in clips}
    classes = [name for name in CLASSES if name in present]
    folds = {clip.fold for clip in clips}
    if folds != set(FOLDS):
        raise AsitError(f"{corpus}: expected the folds {', '.join(FOLDS)}, found {', '.join(sorted(folds))}")
    sources: dict[str, set[str]] = collections.defaultdict(set)
    for clip in clips:
        sources[clip.source].add(clip.fold)
    shared = sorted(source for source, folds in sources.items() if len(folds) > 1)
    print(f"{len(shared)} of {len(sources)} original recordings are in more than one official fold: {shared}")
    data = Path(settings.data)
    write(data / "all", corpus / "audio", clips, classes)
    few = [name for name in classes if name in ESC10]
    for fold in FOLDS:
        for subset, labels in (("", classes), ("_esc10", few)):
            chosen = [clip for clip in clips if clip.label in labels]
            train, test = ([c for c in chosen if (c.fold == fold) is held] for held in (False, True))
            write(data / f"train{subset}_fold{fold}", corpus / "audio", train, labels)
            write(data / f"test{subset}_fold{fold}", corpus / "audio", test, labels)


if __name__ == "__main__":
    raise SystemExit(main())
