"""The clips that an experiment's systems get wrong, with their audio, so that a person can listen to them."""

from __future__ import annotations

import base64
import io
import itertools
import logging
import os
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import soundfile
from tqdm import tqdm

from asit.errors import AsitError
from asit.features.extract import Clip, clips
from asit.io.audio import read_audio, resampled
from asit.io.channels import MIX
from asit.kaldi.data_dir import DataDir
from asit.kaldi.table import read_table
from asit.recipes.record import Record

log = logging.getLogger(__name__)
MOST_CLIPS = 20  # of a test set
MOST_SECONDS = 10.0  # of a clip
MOST_RATE = 16000  # Hz
MOST_BYTES = 8 * 2**20  # of audio in a report


@dataclass
class WrongClip:
    """A clip of which some systems are wrong."""

    utt: str
    reference: str
    systems: int  # that scored it
    taken_for: Counter[str] = field(default_factory=Counter)
    sure: float = 0.0  # the highest score of a wrong decision
    audio: str = ""  # data URI; empty: none
    why: str = ""  # there is none

    @property
    def wrong(self) -> int:
        """How many systems are."""
        return sum(self.taken_for.values())


def wrong_of(folder: Path) -> list[tuple[str, str, str, float]]:
    """(utterance, reference, hypothesis, score) of one run's wrong decisions, the surest first; of several references
    none is the hypothesis. Empty for what has no ``predictions``, such as trials."""
    path = folder / "predictions"
    if not path.is_file():
        return []
    found = []
    for utt, value in read_table(path).items():
        try:
            reference, hypothesis, score = value.split()
            if hypothesis not in reference.split(","):
                found.append((utt, reference, hypothesis, float(score)))
        except ValueError:
            raise AsitError(
                f"{path}: utterance '{utt}': expected a reference, a hypothesis and a score, found '{value[:80]}'; "
                "score the run again"
            ) from None
    return sorted(found, key=lambda row: -row[-1])


def data_dir_of(record: Record) -> str:
    """The data directory that a run was scored on, as its command says; "" when it does not."""
    try:
        words = shlex.split(str(record.provenance.get("command", "")))
    except ValueError:
        return ""
    for before, word in itertools.pairwise(words):
        if before in ("--data-dir", "--test-dir"):
            return word
    return ""


def often_wrong(runs: Iterable[tuple[Path, Record]], table_tag: str) -> dict[str, list[WrongClip]]:
    """For each task and test set, as ``task: data directory``, the clips that most of its systems get wrong."""
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path, record in runs:
        groups[record.tags.get(table_tag, ""), data_dir_of(record)].append(path.parent)
    found: dict[str, list[WrongClip]] = {}
    budget = MOST_BYTES
    for (task, data_dir), folders in tqdm(sorted(groups.items()), desc="wrong clips", disable=None):
        worst = _worst(folders)
        places = _places(data_dir)
        for clip in worst:
            budget -= _add_audio(clip, places, data_dir, budget)
        if worst:
            found[f"{task}: {data_dir or 'unknown data directory'}"] = worst
    return found


def _worst(folders: list[Path]) -> list[WrongClip]:
    by_utt: dict[str, WrongClip] = {}
    for folder in folders:
        for utt, reference, hypothesis, score in wrong_of(folder):
            clip = by_utt.setdefault(utt, WrongClip(utt, reference, len(folders)))
            clip.taken_for[hypothesis] += 1
            clip.sure = max(clip.sure, score)
    return sorted(by_utt.values(), key=lambda clip: (-clip.wrong, -clip.sure, clip.utt))[:MOST_CLIPS]


def _places(data_dir: str) -> dict[str, Clip]:
    try:
        return {clip.utt: clip for clip in clips(DataDir(data_dir)) if isinstance(clip, Clip)} if data_dir else {}
    except (AsitError, OSError) as error:
        log.warning("%s: no players in the report: %s", data_dir, error)
        return {}


def _add_audio(clip: WrongClip, places: Mapping[str, Clip], data_dir: str, budget: int) -> int:
    """Give the clip its player, or say why not; the bytes that it takes."""
    place = places.get(clip.utt)
    if place is None:
        clip.why = f"not found in {data_dir or 'the data directory'}"
    elif budget <= 0:
        clip.why = f"no player: the report holds {MOST_BYTES // 2**20} MiB of audio already"
    elif not os.path.exists(place.path) and not place.path.rstrip().endswith("|"):
        clip.why = f"no player: {place.path} is not there"
    elif place.path.rstrip().endswith("|"):
        clip.why = f"no player: made by a command, {os.path.basename(place.path)[:60]}"
    else:
        try:
            clip.audio = player(place)
        except AsitError as error:
            clip.why = f"no player: {error}"
    return len(clip.audio)


def player(clip: Clip) -> str:
    """A data URI of a clip's first seconds: FLAC, one channel, at most ``MOST_RATE`` Hz; all browsers play it.

    Raises:
        AsitError: the audio cannot be read.
    """
    samples, rate = read_audio(clip.path, utt=clip.utt, channel=MIX, start=clip.start, end=clip.end)
    samples = samples[: round(MOST_SECONDS * rate)]
    if rate > MOST_RATE:
        samples, rate = resampled(samples, rate, MOST_RATE), MOST_RATE
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format="FLAC", subtype="PCM_16")
    return "data:audio/flac;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
