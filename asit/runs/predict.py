"""Class names with probabilities for recordings, straight from audio."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asit.config import REQUIRED, Options, group, option
from asit.io.any_audio import sources
from asit.runs.model import Model, Segment
from asit.runs.recordings import WAV, RecordingSettings, check_names, heard
from asit.runs.windows import WindowSettings
from asit.train.distributed import pick_device

FORMATS = ("table", "tsv", "csv", "jsonl")
COLUMNS = ("recording", "start", "end", "rank", "class", "probability")


@dataclass(frozen=True)
class Settings(Options):
    """Classify recordings: for each its best classes, of all of it or stretch by stretch."""

    model: str = option(REQUIRED, "model.safetensors of asit-finetune")
    wav: tuple[str, ...] = option(REQUIRED, WAV, positional=True)
    top_k: int = option(5, "number of classes shown for each", least=1)
    segments: float = option(0.0, "seconds of a stretch that is classified by itself; 0: the whole recording", least=0)
    format: str = option(
        "tsv",
        "table: a line for each recording or stretch, for people; tsv and csv: a line for each class; jsonl",
        FORMATS,
    )
    ngpu: int | None = option(0, "GPUs to use; 0: CPU")
    recordings: RecordingSettings = group(RecordingSettings)
    windows: WindowSettings = group(WindowSettings)


def predict(settings: Settings, failed: list[str] | None = None) -> Iterator[str]:
    """The output's lines, recording by recording.

    Args:
        failed: see :func:`asit.runs.recordings.heard`.

    Raises:
        AsitError: from the model file, a list of recordings, or a recording; stretches shorter than a frame; a name
            that the format cannot hold.
    """
    recordings = sources(settings.wav)
    model = Model(settings.model, pick_device(settings.ngpu))
    if model.task is None or model.task.table != "utt2label":
        model.classify([])  # says what a model of another kind is for
    check_names(recordings, settings.format)
    if settings.format == "csv":
        yield joined(_columns(settings))
    for source, feats, seconds in heard(recordings, settings.recordings, model, failed):
        if settings.segments:
            found = model.segments_of(feats, settings.segments, settings.top_k)
        else:
            classes = model.classify_features([feats], settings.top_k, settings.windows.scoring)[0]
            found = [Segment(0.0, seconds, classes)]
        for segment in found:
            yield from _lines(settings, source.name, segment)


def _columns(settings: Settings) -> list[str]:
    return [name for name in COLUMNS if settings.segments or name not in ("start", "end")]


def _lines(settings: Settings, name: str, segment: Segment) -> Iterator[str]:
    """Of one stretch."""
    times = [f"{segment.start:.2f}", f"{segment.end:.2f}"] if settings.segments else []
    if settings.format == "jsonl":
        classes = [{"class": label, "probability": round(p, 6)} for label, p in segment.classes]
        place = {"start": round(segment.start, 3), "end": round(segment.end, 3)}
        yield json.dumps({"recording": name, **place, "classes": classes}, ensure_ascii=False)
    elif settings.format == "table":
        best = "  ".join(f"{label} {100 * p:.1f} %" for label, p in segment.classes)
        yield "  ".join([name, *([f"{'–'.join(times)} s"] * bool(times)), best])
    else:
        for rank, (label, p) in enumerate(segment.classes, 1):
            cells = [name, *times, str(rank), label, f"{p:.6f}"]
            yield joined(cells) if settings.format == "csv" else "\t".join(cells)


def joined(cells: Sequence[str]) -> str:
    """A row of a CSV file, without its line break."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()
