"""Score a fine-tuned model on a data directory: metrics.json; predictions, confusion matrix and per-class values of
clips, decoded text or events and per-utterance values of utterances."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asit.config import REQUIRED, Options, group, option
from asit.data.annotations import Annotations
from asit.data.clips import Clips, ClipSettings
from asit.data.transcripts import Transcripts
from asit.io.atomic import write_text
from asit.kaldi.table import write_table
from asit.models.trained import check_front_end, load_model
from asit.recipes import record
from asit.recipes.provenance import provenance
from asit.recipes.record import Record
from asit.runs import confusion, detection, recognition, windows
from asit.runs.windows import WindowSettings
from asit.tasks.decoding import DecodingSettings
from asit.tasks.sed import EventSettings
from asit.train.distributed import pick_device
from asit.train.processes import use_threads


@dataclass(frozen=True)
class Settings(Options):
    """Score a fine-tuned model on a labelled data directory."""

    model: str = option(REQUIRED, "model.safetensors of asit-finetune")
    data_dir: str = option(
        REQUIRED, "data directory with feats.scp, utt2label (text to recognise, events to detect) and conf/fbank.yaml"
    )
    out_dir: str = option(REQUIRED, "folder for metrics.json, predictions, text or events, and what else tells of them")
    tags: tuple[str, ...] = option((), "name=value words for the report, beside those of the model")
    clips: ClipSettings = group(ClipSettings)
    ngpu: int | None = option(None, "GPUs to use; 0: CPU; none: one if there is one, else CPU")
    threads: int = option(0, "CPU threads; 0: all cores")
    windows: WindowSettings = group(WindowSettings)
    decoding: DecodingSettings = group(DecodingSettings)
    events: EventSettings = group(EventSettings)


def evaluate(settings: Settings) -> Record:
    """Score, write everything to the output folder, and return what went into metrics.json.

    Raises:
        AsitError: another front end than the model's, unknown labels, missing features.
    """
    began = time.monotonic()
    record.discard(settings.out_dir)
    use_threads(settings.threads, 1)
    model = load_model(settings.model, pick_device(settings.ngpu))
    check_front_end(model.front_end, settings.data_dir, settings.model)
    tags = {**model.tags, **record.parse_tags(settings.tags)}
    most = settings.clips.max_missing
    if model.task.table == "text":
        data = Transcripts(settings.data_dir, model.front_end.stats, most)
        result = recognition.evaluate(model, data, settings.out_dir, tags, settings.decoding, began)
        write_missing(Path(settings.out_dir), data.missing)
        return result
    if model.task.table == "events":
        annotated = Annotations(settings.data_dir, model.front_end.stats, model.task.labels, most)
        result = detection.evaluate(model, annotated, settings.out_dir, tags, settings.events, began)
        write_missing(Path(settings.out_dir), annotated.missing)
        return result
    clips = Clips(settings.data_dir, model.task, model.front_end.stats, most)
    scores = windows.score(model.classifier, model.task, clips.whole(), model.front_end, model.frames, settings.windows)
    return write_result(
        settings.out_dir,
        model.task,
        clips,
        scores,
        began,
        tags=tags,
        train_clips=int(model.metadata.get("train_clips", 0)),
        facts=provenance(),
    )


def write_result(
    folder: str,
    task: Any,
    clips: Clips,
    scores: np.ndarray,
    began: float,
    *,
    tags: dict[str, str],
    train_clips: int,
    facts: dict[str, Any],
    trivial: dict[str, float] | None = None,
) -> Record:
    """Everything that a system's scores (n, C) of the test clips leave: predictions, missing clips, ``metrics.json``,
    and last the picture, which may fail.

    Args:
        began: ``time.monotonic()`` at the start of the command.
        facts: provenance. trivial: chance and the like, where the training labels are known.
    """
    result = Record(
        tags=tags,
        metric=task.metrics[0].name,
        metrics=task.measure(scores, clips.targets),
        declared=task.metrics,
        clips=len(clips),
        expected=clips.expected,
        train_clips=train_clips,
        seconds=time.monotonic() - began,
        trivial=trivial or {},
        provenance=facts,
    )
    out_dir = Path(folder)
    write_scores(out_dir, task, clips.utts, clips.labels, clips.targets, scores)
    write_missing(out_dir, clips.missing)
    record.save(out_dir / record.NAME, result)
    if hasattr(task, "confusion"):
        confusion.draw(out_dir / "confusion.png", task.confusion(scores, clips.targets), task.labels)
    return result


def write_scores(
    out_dir: Path, task: Any, utts: Sequence[str], labels: Sequence[str], targets: np.ndarray, scores: np.ndarray
) -> None:
    """``predictions`` (utt reference hypothesis score); of a task with classes ``per_class.csv``, ``confusion.csv``."""
    decided, best = task.decide(scores), scores.max(axis=1)
    lines = zip(utts, labels, decided, best, strict=True)
    write_table(out_dir / "predictions", {utt: f"{ref} {hyp} {value:.6f}" for utt, ref, hyp, value in lines})
    if hasattr(task, "per_class"):
        counts = targets.sum(axis=0) if task.multi_label else np.bincount(targets, minlength=task.num_outputs)
        values = task.per_class(scores, targets)
        metric = "average_precision" if task.multi_label else "accuracy"
        rows = [
            [label, int(count), "" if np.isnan(value) else f"{value:.6f}"]
            for label, count, value in zip(task.labels, counts, values, strict=True)
        ]
        confusion.write_csv(out_dir / "per_class.csv", ["class", "clips", metric], rows)
    if hasattr(task, "confusion"):
        confusion.write_table(out_dir / "confusion.csv", task.confusion(scores, targets), task.labels)


def write_missing(out_dir: Path, missing: Sequence[str]) -> None:
    """``missing``: the labelled utterances without features, one a line; no file when there are none."""
    path = out_dir / "missing"
    if missing:
        write_text(path, "".join(f"{utt}\n" for utt in missing))
    else:
        path.unlink(missing_ok=True)


def summary(where: str, result: Record) -> str:
    """One line: the metrics, and how many utterances were scored of those expected."""
    values = ", ".join(f"{metric.name} {metric.text(result.metrics[metric.name])}" for metric in result.declared)
    return f"{where}: {values}; scored {result.clips} of {result.expected} utterances in {result.seconds:.1f} s"
