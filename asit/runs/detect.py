"""Recordings to events, straight from audio."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from asit.config import REQUIRED, Options, group, option
from asit.errors import AsitError
from asit.io.any_audio import sources
from asit.kaldi.events import format_events
from asit.runs.detection import plain
from asit.runs.model import Model
from asit.runs.predict import joined
from asit.runs.recordings import WAV, RecordingSettings, check_names, heard
from asit.tasks.sed import Detected, EventSettings
from asit.train.distributed import pick_device

FORMATS = ("tsv", "csv", "audacity", "events", "jsonl")
COLUMNS = ("recording", "start", "end", "class", "probability")


@dataclass(frozen=True)
class Settings(Options):
    """Tell what is heard when in recordings: a line for each event."""

    model: str = option(REQUIRED, "model.safetensors of asit-finetune with --task sed")
    wav: tuple[str, ...] = option(REQUIRED, WAV, positional=True)
    format: str = option(
        "tsv",
        "tsv and csv: recording, start, end, class, probability, a recording without an event has no line; audacity: "
        "the label track of one recording; events: of a data directory, whose names have no white space; jsonl: a line "
        "for each recording",
        FORMATS,
    )
    ngpu: int | None = option(0, "GPUs to use; 0: CPU")
    recordings: RecordingSettings = group(RecordingSettings)
    events: EventSettings = group(EventSettings)


def detect(settings: Settings, failed: list[str] | None = None) -> Iterator[str]:
    """The output's lines, recording by recording.

    Args:
        failed: see :func:`asit.runs.recordings.heard`.

    Raises:
        AsitError: a model that was not trained on events, from a list of recordings, or a recording; several
            recordings, or a name, that the format cannot hold.
    """
    recordings = sources(settings.wav)
    model = Model(settings.model, pick_device(settings.ngpu))
    model.events_of([])  # says what a model of another kind is for
    check_names(recordings, settings.format)
    if settings.format == "audacity" and len(recordings) != 1:
        raise AsitError(
            f"--format audacity: expected one recording, found {len(recordings)}; a label track does not name its "
            "recording: give one at a time, or take --format csv"
        )
    if settings.format == "csv":
        yield joined(COLUMNS)
    for source, feats, seconds in heard(recordings, settings.recordings, model, failed):
        yield from _lines(settings.format, source.name, model.events_of([feats], settings.events)[0], seconds)


def _lines(form: str, name: str, found: list[Detected], seconds: float) -> Iterator[str]:
    """Of one recording."""
    if form == "events":
        yield from (f"{name} {line}" for line in format_events(plain(found)).split("\n"))
    elif form == "jsonl":
        events = [
            {
                "start": round(e.start, 3),
                "end": round(e.end, 3),
                "class": e.label,
                "probability": round(e.probability, 6),
            }
            for e in found
        ]
        yield json.dumps({"recording": name, "seconds": round(seconds, 3), "events": events}, ensure_ascii=False)
    else:
        for start, end, label, probability in found:
            times = (f"{start:.3f}", f"{end:.3f}")
            if form == "audacity":
                yield "\t".join((*times, label))
            else:
                cells = (name, *times, label, f"{probability:.6f}")
                yield joined(cells) if form == "csv" else "\t".join(cells)
