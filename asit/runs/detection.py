"""Utterances to events: what fine-tuning, asit-evaluate and asit-detect share. T frames, F mel bins, K classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit

from asit.data.annotations import Annotations
from asit.kaldi.events import NAME, Event, write_events
from asit.metrics.event_counts import f1, f1_parts
from asit.metrics.intervals import ratio_interval
from asit.models.sequence import SequenceNetwork
from asit.models.trained import FrontEnd, TrainedModel
from asit.recipes import record
from asit.recipes.record import Record
from asit.runs.confusion import write_csv
from asit.runs.sequences import outputs, scored
from asit.tasks.sed import EVENT_F1, THRESHOLDS, Detected, EventSettings, Task

COUNTED = ("right", "false_alarms", "missed")


def events(
    network: SequenceNetwork,
    task: Task,
    feats: Iterable[np.ndarray],
    front_end: FrontEnd,
    settings: EventSettings | None = None,
) -> list[list[Detected]]:
    """What is heard in each utterance of log-mel features (T, F), not normalised; no event ends after it."""
    settings = settings or EventSettings()
    if settings.event_threshold is None and task.settings.events.event_threshold is None:
        settings = replace(settings, event_threshold=float(network.threshold))
    step, lengths = step_seconds(network, front_end), list[int]()

    def noted() -> Iterator[np.ndarray]:
        for one in feats:
            lengths.append(len(one))
            yield one

    logits, shift = outputs(network, noted(), front_end), front_end.fbank.frame_shift / 1000
    return [_within(lengths[i] * shift, task.decode(expit(one), step, settings)) for i, one in enumerate(logits)]


def _within(seconds: float, found: list[Detected]) -> list[Detected]:
    """The last time step may go on after the utterance; an event does not."""
    return [event._replace(end=min(event.end, seconds)) for event in found]


def step_seconds(network: SequenceNetwork, front_end: FrontEnd) -> float:
    """Seconds between two time steps."""
    return network.backbone.patch_embed.stride[0] * front_end.fbank.frame_shift / 1000


@torch.no_grad()
def validate(network: SequenceNetwork, task: Task, data: Annotations, front_end: FrontEnd) -> dict[str, float]:
    """The metrics of a network on a validation set, at the threshold where the first of them is best, which the network
    keeps, unless the task's settings name one."""
    given = task.settings.events.event_threshold
    logits, choice = list(outputs(network, data.whole(), front_end)), THRESHOLDS if given is None else (given,)
    step, seconds = step_seconds(network, front_end), data.lengths * front_end.fbank.frame_shift / 1000
    best: dict[str, float] = {}
    for threshold in choice:
        settings = EventSettings(event_threshold=threshold)
        decoded = (task.decode(expit(one), step, settings) for one in logits)
        found = [_within(*pair) for pair in zip(seconds.tolist(), decoded, strict=True)]
        values, metric = task.measure(found, data.events), task.metrics[0]
        if not best or metric.improves(values[metric.name], best[metric.name]):
            best = values
            network.threshold.fill_(threshold)
    return best


def plain(found: Sequence[Detected]) -> list[Event]:
    """The same without probabilities."""
    return [Event(*event[:3]) for event in found]


def evaluate(
    model: TrainedModel, data: Annotations, out_dir: str, tags: dict[str, str], settings: EventSettings, began: float
) -> Record:
    """Detect and score: ``events``, ``per_class.csv``, ``per_utterance.csv``, ``metrics.json``.

    Args:
        began: ``time.monotonic()`` at the start of the command.
    """
    task = model.task
    found = events(model.classifier, task, data.whole(), model.front_end, settings)
    counted = task.counts(found, data.events)
    parts = {name: f1_parts(rows.sum(axis=1)) for name, rows in counted.items()}  # of each utterance
    values = {name: f1(rows) for name, rows in counted.items()}
    intervals = {name: ratio_interval(*pair) for name, pair in parts.items()}
    result = scored(model, data, values, intervals, tags, began)
    folder = Path(out_dir)
    write_events(folder / NAME, {utt: plain(some) for utt, some in zip(data.utts, found, strict=True)})
    of_events = counted[EVENT_F1.name]
    write_csv(folder / "per_class.csv", ["class", *COUNTED, *counted], _per_class(task.labels, counted))
    rows = [[utt, *map(int, row)] for utt, row in zip(data.utts, of_events.sum(axis=1), strict=True)]
    write_csv(folder / "per_utterance.csv", ["utt", *COUNTED], rows)
    record.save(folder / record.NAME, result)
    return result


def _per_class(labels: Sequence[str], counted: dict[str, np.ndarray]) -> list[list[object]]:
    """The counts of events and all metrics of each class, empty where nothing is there and nothing found."""
    rows: list[list[object]] = []
    for k, label in enumerate(labels):
        values = [f1(of[:, k]) for of in counted.values()]
        counts = map(int, counted[EVENT_F1.name][:, k].sum(axis=0))
        rows.append([label, *counts, *("" if np.isnan(value) else f"{value:.6f}" for value in values)])
    return rows
