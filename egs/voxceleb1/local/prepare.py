#!/usr/bin/env python3
"""VoxCeleb1 -> data/{all,iden_train,iden_valid,iden_test,dev_train,dev_valid,veri_test}, and the lists of trials.

iden_*: identification, the official split. dev_*: the same clips without the speakers of the trials, to train what
verifies them. veri_test: the clips that the trials name. all: every clip, for the features.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from official import (
    TRIALS,
    check_split,
    check_trials,
    find_recordings,
    read_iden_split,
    speaker_of,
    utterance_of,
)

from asit.config import REQUIRED, Options, option, parse
from asit.errors import AsitError, command
from asit.io.atomic import remove, write_text
from asit.io.audio import audio_info
from asit.kaldi.data_dir import write_data_dir, write_labels
from asit.kaldi.table import read_text
from asit.runs.trials import read_trials

SMALL = 4096  # bytes; a clip has at least four seconds


@dataclass(frozen=True)
class PrepareSettings(Options):
    """Data directories of VoxCeleb1 from a copy of the corpus and its official lists."""

    corpus: str = option(REQUIRED, "folder with wav/, or with vox1_dev_wav/wav/ and vox1_test_wav/wav/; flac does too")
    lists: str = option("downloads/lists", "folder with iden_split.txt, veri_test.txt and veri_test2.txt")
    data: str = option("data", "folder to write the data directories into")
    check_counts: bool = option(True, "fail unless the lists have the official numbers of clips, speakers and trials")
    max_missing: float = option(0.0, "share of the listed clips that the corpus may lack", least=0, below=1)


def read_lists(settings: PrepareSettings) -> tuple[dict[str, str], set[str]]:
    """(clip -> train, valid or test, clips of the trials).

    Raises:
        AsitError: a list is missing, malformed, of another size, or the trials name what the split does not have.
    """
    for name in ("iden_split.txt", *TRIALS):
        if not os.path.isfile(os.path.join(settings.lists, name)):
            raise AsitError(
                f"{settings.lists}/{name}: no such list; stage lists fetches it, or give its folder (--lists)"
            )
    path = os.path.join(settings.lists, "iden_split.txt")
    split = read_iden_split(path)
    if settings.check_counts:
        check_split(path, split)
    compared: set[str] = set()
    for name in TRIALS:
        path = os.path.join(settings.lists, name)
        trials = read_trials(path)
        clips = {*trials.first, *trials.second}
        for line, pair in zip(trials.lines, zip(trials.first, trials.second, strict=True), strict=True):
            for clip in pair:
                if clip not in split:
                    raise AsitError(f"{path}:{line}: expected clips of iden_split.txt, found '{clip}'")
        if settings.check_counts:
            same = int(trials.targets.sum())
            check_trials(path, same, len(trials) - same, len({speaker_of(clip) for clip in clips}))
        compared |= clips
    return split, compared


def locate(settings: PrepareSettings, clips: Iterable[str]) -> dict[str, str]:
    """Clip -> audio file of those that are there.

    Raises:
        AsitError: more are missing than allowed, or one is empty or has no samples.
    """
    clips = sorted(clips)
    there, unreadable = find_recordings(settings.corpus)
    missing = [clip for clip in clips if clip not in there]
    if missing:
        message = f"{settings.corpus}: expected {len(clips)} clips, {len(missing)} are missing, the first {missing[0]}"
        of_these = set(missing) & set(unreadable)
        if of_these:
            message += (
                f"; {len(of_these)} are there in a format that cannot be read (m4a?): ffmpeg -i in.m4a -ac 1 -ar 16000 "
                "out.wav"
            )
        if len(missing) > settings.max_missing * len(clips):
            raise AsitError(f"{message}; complete the copy or raise --max-missing")
        print(f"warning: {message}")
    found = {clip: there[clip] for clip in clips if clip in there}
    for clip, path in found.items():
        if os.path.getsize(path) < SMALL:
            audio_info(path, utterance_of(clip))  # raises when there is nothing in it
    others = len(there.keys() - set(clips))
    print(f"{settings.corpus}: {len(found)} of {len(clips)} listed clips; {others} others are not used")
    return found


def write_set(folder: str, clips: Iterable[str], paths: dict[str, str], labels: list[str]) -> None:
    """One data directory; with ``labels`` the speakers are its classes. What is missing goes to ``missing_utts``.

    Raises:
        AsitError: no clip of the set is there.
    """
    wanted = sorted(clips)
    there, missing = [clip for clip in wanted if clip in paths], [clip for clip in wanted if clip not in paths]
    if not there:
        raise AsitError(f"{folder}: expected clips, found none; check the lists and the corpus")
    utt2spk = {utterance_of(clip): speaker_of(clip) for clip in there}
    tables = {"wav.scp": {utterance_of(clip): paths[clip] for clip in there}, "utt2spk": utt2spk}
    if labels:
        tables["utt2label"] = utt2spk
    write_data_dir(folder, tables)
    if labels:
        write_labels(os.path.join(folder, "labels.txt"), labels)
    listing = os.path.join(folder, "missing_utts")
    remove(listing)
    if missing:  # counted beside every score
        write_text(listing, "".join(f"{utterance_of(clip)} not in the corpus\n" for clip in missing))
    print(f"{folder}: {len(there)} of {len(wanted)} clips, {len(set(utt2spk.values()))} speakers")


@command
def main() -> None:
    """Write the data directories; counts go to standard output."""
    settings = parse(PrepareSettings)
    split, compared = read_lists(settings)
    paths = locate(settings, split)
    hidden = {speaker_of(clip) for clip in compared}
    seen = {clip: own for clip, own in split.items() if speaker_of(clip) not in hidden}
    write_set(os.path.join(settings.data, "all"), split, paths, [])
    write_set(os.path.join(settings.data, "veri_test"), compared, paths, [])
    for task, clips, names in (("iden", split, ("train", "valid", "test")), ("dev", seen, ("train", "valid"))):
        labels = sorted({speaker_of(clip) for clip in clips})
        for name in names:
            own = [clip for clip, where in clips.items() if where == name]
            write_set(os.path.join(settings.data, f"{task}_{name}"), own, paths, labels)
    for name in TRIALS:
        write_text(os.path.join(settings.data, name), read_text(os.path.join(settings.lists, name)))


if __name__ == "__main__":
    raise SystemExit(main())
