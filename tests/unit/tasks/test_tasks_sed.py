from __future__ import annotations

import numpy as np
import pytest
import torch

from asit.errors import AsitError
from asit.kaldi.events import Event
from asit.metrics.intervals import ratio_interval
from asit.tasks import sed
from asit.tasks.sed import Detected, EventSettings

LABELS = ["cat", "dog"]


def task(**options: float) -> sed.Task:
    return sed.Task(sed.Settings(events=EventSettings(**options)), LABELS)


def columns(*rows: str) -> np.ndarray:
    """Probabilities (N, K) from a row of digits a class, tenths."""
    return np.array([[int(digit) / 10 for digit in row] for row in rows]).T


def test_the_loss_is_the_mean_over_the_steps_that_there_are() -> None:
    logits = torch.randn(2, 4, 2, generator=torch.Generator().manual_seed(0))
    logits[1, 1:] = 1e4  # padding
    targets = torch.tensor([[1, 0], [0, 0], [1, 1], [0, 1], [1, 0]], dtype=torch.bool)
    found = task().loss(logits, torch.tensor([4, 1]), targets, torch.tensor([4, 1]))
    rows = torch.cat([logits[0], logits[1, :1]]).double().sigmoid()
    wanted = -torch.where(targets, rows, 1 - rows).log().mean()
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    with pytest.raises(AsitError, match=r"expected \[4, 1\] time steps, found \[4, 2\]"):
        task().loss(logits, torch.tensor([4, 1]), targets, torch.tensor([4, 2]))


def test_events_are_runs_above_the_threshold() -> None:
    found = task(median_filter=0.0).decode(columns("0690088", "9000000"), 0.5)
    assert [event[:3] for event in found] == [(0.0, 0.5, "dog"), (0.5, 1.5, "cat"), (2.5, 3.5, "cat")]
    assert [event.probability for event in found] == pytest.approx([0.9, 0.75, 0.8])
    assert task(median_filter=0.0).decode(columns("0000", "0000"), 0.5) == []


def test_a_median_filter_drops_short_events_and_closes_short_gaps() -> None:
    rows = columns("00900999099900", "99990000000000")
    assert [e[:3] for e in task(median_filter=0.3).decode(rows, 0.1)] == [
        (0.0, pytest.approx(0.4), "dog"),
        (pytest.approx(0.5), pytest.approx(1.2), "cat"),
    ]
    assert len(task(median_filter=0.05).decode(rows, 0.1)) == 4  # shorter than a step: none


def test_a_command_goes_before_the_model_and_the_model_before_the_default() -> None:
    rows = columns("4444", "6666")
    labels = [
        [e.label for e in made.decode(rows, 1.0, over)]
        for made, over in (
            (task(), None),
            (task(event_threshold=0.3), None),
            (task(event_threshold=0.3), EventSettings()),
            (task(event_threshold=0.3), EventSettings(event_threshold=0.7)),
        )
    ]
    assert labels == [["dog"], ["cat", "dog"], ["cat", "dog"], []]


def test_a_match_needs_class_start_and_end() -> None:
    there = [Event(1.0, 2.0, "cat")]
    for start, end, label, event, onset in (
        (1.2, 2.2, "cat", 1, 1),
        (1.21, 2.0, "cat", 0, 0),
        (1.0, 2.21, "cat", 0, 1),
        (1.0, 2.0, "dog", 0, 0),
    ):
        found = task().measure([[Detected(start, end, label, 1.0)]], [there])
        assert (found["event_f1"], found["onset_f1"]) == (event, onset)
    long = [Event(0.0, 10.0, "cat")]
    assert task().measure([[Detected(0.0, 8.1, "cat", 1.0)]], [long])["event_f1"] == 1  # a fifth of its length
    twice = [Detected(1.0, 2.0, "cat", 1.0), Detected(1.1, 2.1, "cat", 1.0)]
    assert task().measure([twice], [there])["event_f1"] == pytest.approx(2 / 3)
    assert np.isnan(task().measure([[]], [[]])["event_f1"])


@pytest.mark.parametrize("classes", [2, 1023, 1200, 5000])
def test_classes_are_told_apart_however_many_there_are(classes) -> None:
    labels = [f"c{i:04}" for i in range(classes)]
    made = sed.Task(sed.Settings(), labels)
    there = [Event(float(i), i + 1.0, labels[i]) for i in (0, classes - 2, classes - 1)]
    found = [[Detected(*event, 0.9) for event in there]]
    assert made.measure(found, [there])["event_f1"] == 1.0
    neighbours = [Event(start, end, labels[labels.index(label) - 1]) for start, end, label in there]
    assert made.measure(found, [neighbours])["event_f1"] == 0.0


def test_the_interval_of_f1_is_that_of_resampled_utterances() -> None:
    rng = np.random.default_rng(0)
    right, wrong = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    low, high = ratio_interval(2 * right, 2 * right + wrong)
    values = []
    for _ in range(2000):
        chosen = rng.integers(0, 60, 60)
        values.append(2 * right[chosen].sum() / (2 * right[chosen] + wrong[chosen]).sum())
    assert [low, high] == pytest.approx(np.percentile(values, [2.5, 97.5]), abs=0.01)
    assert np.isnan(ratio_interval(np.zeros(3), np.zeros(3))).all()
