#!/usr/bin/env python3
"""Packages -> audio/<utt>.flac and data/<set>/{wav.scp,utt2spk,spk2utt,utt2label,labels.txt}.

events_<set>    one label a recording; events_train_few_<draw> has some recordings of each class
tagging_<set>   mixtures with all labels of their parts; utt2parts says of each what is in it where and how loud, events
                from when to when it is heard
pool            recordings and mixtures of the training kits, without labels
all             everything, for the features

A kit is in one set only. Run from the recipe directory: wav.scp holds paths relative to it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from drum_mixtures import MixSettings, Part, events, mix, plan
from drum_recordings import SETS, Recording, decode, read_recordings, read_tables
from tqdm import tqdm

from asit.config import Options, group, option, parse
from asit.errors import AsitError, command
from asit.io.atomic import atomic_open, write_text
from asit.kaldi.data_dir import write_data_dir, write_labels
from asit.kaldi.data_dir_parts import shuffled
from asit.kaldi.events import format_events

DRAWS = 3  # of the small label sets


@dataclass(frozen=True)
class PrepareSettings(Options):
    """Write the audio and the data directories."""

    corpus: str = option("downloads/debs", "folder with the .deb files")
    tables: str = option("local", "folder of packages.tsv, kits.tsv and recordings.tsv")
    audio: str = option("data/audio", "folder to write the audio files into")
    data: str = option("data", "folder to write the data directories into")
    rate: int = option(32000, "samples per second of the audio that is written", above=0)
    seconds: float = option(1.6, "seconds of a recording that are kept", above=0)
    few: int = option(3, "recordings of each class in events_train_few_<draw>", least=1)
    share: float = option(0.1, "share of the mixtures in tagging_train_10pct_<draw>", above=0, most=1)
    train_mixtures: int = option(1000, "mixtures of the training kits", least=1)
    valid_mixtures: int = option(200, "mixtures of the validation kits", least=1)
    test_mixtures: int = option(400, "mixtures of the test kits", least=1)
    max_excluded: float = option(0.01, "share of the recordings that may be unreadable", least=0, below=1)
    mix: MixSettings = group(MixSettings)


def read_waves(settings: PrepareSettings, recordings: list[Recording], packages: list) -> dict[str, np.ndarray]:
    """Samples of each recording by utterance id; the unreadable ones are listed in <data>/excluded.txt.

    Raises:
        AsitError: too many are unreadable; as :func:`drum_recordings.read_recordings`.
    """
    waves: dict[str, np.ndarray] = {}
    excluded: list[str] = []
    contents = read_recordings(Path(settings.corpus), recordings, packages)
    for recording, content in tqdm(contents, total=len(recordings), unit="clip", disable=None):
        try:
            waves[recording.utt] = decode(content, settings.rate, settings.seconds)
        except AsitError as error:
            excluded.append(f"{recording.package}: {recording.path}: {error}")
    Path(settings.data).mkdir(parents=True, exist_ok=True)
    write_text(Path(settings.data, "excluded.txt"), "".join(f"{line}\n" for line in excluded))
    print(f"{len(waves)} of {len(recordings)} recordings read, {len(excluded)} excluded ({settings.data}/excluded.txt)")
    if len(excluded) > settings.max_excluded * len(recordings):
        raise AsitError(
            f"{excluded[0]}; so are {len(excluded)} of {len(recordings)} recordings, at most "
            f"{settings.max_excluded:.0%} may be: see {settings.data}/excluded.txt"
        )
    return waves


def few_of_each_class(recordings: list[Recording], count: int, draw: int) -> list[Recording]:
    """``count`` recordings of each class, or all where there are fewer, in an order that depends on the draw."""
    by_utt = {recording.utt: recording for recording in recordings}
    taken: Counter[str] = Counter()
    chosen = []
    for utt in shuffled(sorted(by_utt), draw):
        label = by_utt[utt].label
        if taken[label] < count:
            taken[label] += 1
            chosen.append(by_utt[utt])
    return chosen


def write_audio(settings: PrepareSettings, name: str, wave: np.ndarray) -> None:
    """<audio>/<name>.flac, 16 bit."""
    with atomic_open(Path(settings.audio, f"{name}.flac"), "wb") as stream:
        soundfile.write(stream, wave, settings.rate, format="FLAC", subtype="PCM_16")


def write_set(settings: PrepareSettings, name: str, speakers: dict[str, str], **tables: dict[str, str]) -> None:
    """A data directory of the utterances that ``speakers`` has."""
    wav_scp = {utt: f"{settings.audio}/{utt}.flac" for utt in speakers}
    write_data_dir(Path(settings.data, name), {"wav.scp": wav_scp, "utt2spk": speakers, **tables})
    print(f"{settings.data}/{name}: {len(speakers)} clips")


def write_events(settings: PrepareSettings, name: str, recordings: list[Recording], labels: list[str]) -> None:
    """A data directory of single recordings."""
    speakers = {recording.utt: recording.kit for recording in recordings}
    write_set(settings, name, speakers, utt2label={recording.utt: recording.label for recording in recordings})
    write_labels(Path(settings.data, name, "labels.txt"), labels)


def write_tagging(
    settings: PrepareSettings,
    name: str,
    mixtures: dict[str, list[Part]],
    waves: dict[str, np.ndarray],
    labels: list[str],
) -> None:
    """A data directory of mixtures, each its own speaker."""
    tables = {
        "utt2label": {utt: ",".join(sorted(part.label for part in parts)) for utt, parts in mixtures.items()},
        "utt2parts": {utt: " ".join(map(str, parts)) for utt, parts in mixtures.items()},
        "events": {
            utt: format_events(events(parts, waves, settings.rate, settings.mix.mix_seconds))
            for utt, parts in mixtures.items()
        },
    }
    write_set(settings, name, {utt: utt for utt in mixtures}, **tables)
    write_labels(Path(settings.data, name, "labels.txt"), labels)


@command
def main() -> None:
    """Decode, mix, write."""
    settings = parse(PrepareSettings)
    kits, recordings, packages = read_tables(Path(settings.tables))
    waves = read_waves(settings, recordings, packages)
    recordings = [recording for recording in recordings if recording.utt in waves]
    Path(settings.audio).mkdir(parents=True, exist_ok=True)
    for utt, wave in waves.items():
        write_audio(settings, utt, wave)
    labels = sorted({recording.label for recording in recordings})
    lengths = {utt: len(wave) for utt, wave in waves.items()}
    everything = {recording.utt: recording.kit for recording in recordings}
    own: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        own[kits[recording.kit].set].append(recording)
    for name in SETS:
        write_events(settings, f"events_{name}", own[name], labels)
        count = getattr(settings, f"{name}_mixtures")
        mixtures = plan(f"mix-{name}", count, own[name], lengths, settings.rate, settings.mix)
        for utt, parts in tqdm(mixtures.items(), unit="mixture", disable=None):
            write_audio(settings, utt, mix(parts, waves, settings.rate, settings.mix.mix_seconds))
        write_tagging(settings, f"tagging_{name}", mixtures, waves, labels)
        everything |= {utt: utt for utt in mixtures}
        if name != "train":
            continue
        write_set(settings, "pool", {r.utt: r.kit for r in own[name]} | {utt: utt for utt in mixtures})
        for draw in range(DRAWS):
            write_events(settings, f"events_train_few_{draw}", few_of_each_class(own[name], settings.few, draw), labels)
            some = sorted(shuffled(sorted(mixtures), draw)[: max(1, round(settings.share * count))])
            few = {utt: mixtures[utt] for utt in some}
            write_tagging(settings, f"tagging_train_10pct_{draw}", few, waves, labels)
    write_set(settings, "all", everything)


if __name__ == "__main__":
    raise SystemExit(main())
