"""Counts of events against stored ones of sed_eval, which is not installed here: it brings librosa and numba."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from asit.kaldi.events import Event
from asit.metrics.event_counts import ScoringSettings
from asit.tasks import sed

STORED = json.loads(Path(__file__).with_name("sed_eval.json").read_text())
LABELS = sorted(STORED["event_f1"])


def events(of: str) -> list[list[Event]]:
    return [[Event(*event) for event in some] for some in STORED[of].values()]


@pytest.mark.parametrize("segment", [1.0, 0.25])
def test_counts_are_those_of_sed_eval(segment: float) -> None:
    task = sed.Task(sed.Settings(scoring=ScoringSettings(collar=0.2, segment=segment)), LABELS)
    counts = task.counts(events("found"), events("reference"))
    stored = {"segment_f1": STORED[f"segment_{segment}"], **{n: STORED[n] for n in ("event_f1", "onset_f1")}}
    for name, rows in stored.items():
        assert np.array_equal(counts[name].sum(axis=0), [rows[label] for label in LABELS]), name
