from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from utterance_dirs import MELS, write_utterances

from asit.data.annotations import Annotations, active
from asit.data.utterances import LeaveOutSettings, collate_utterances
from asit.errors import AsitError
from asit.features.stats import Stats
from asit.kaldi.events import Event, write_events

STATS, LABELS = Stats(-4.0, 4.0, 1000), ["cat", "dog"]
EVENTS = {
    "s-1": [Event(0.0, 0.2, "dog"), Event(0.1, 0.4, "cat")],
    "s-2": [],
    "s-3": [Event(0.101, 0.102, "dog"), Event(0.3, 9.0, "cat")],
}
FRAMES = {"s-1": 40, "s-2": 21, "s-3": 60}


def data_dir(path, events=EVENTS, frames=FRAMES):
    made = write_utterances(path, events, frames)
    write_events(path / "events", events)
    return made


def test_a_target_says_what_is_heard_in_each_step(tmp_path):
    found = Annotations(data_dir(tmp_path / "d"), STATS, LABELS).for_training(4, 0.01, LeaveOutSettings())
    assert found.left_out == {}
    first, silent, last = (found[i, i]["target"] for i in range(3))
    assert first.T.astype(int).tolist() == [[0, 0, 1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]]
    assert silent.shape == (6, 2)
    assert not silent.any()
    assert last[:, 1].nonzero()[0].tolist() == [2]  # shorter than a step, and heard nonetheless
    assert last[:, 0].nonzero()[0].tolist() == list(range(8, 15))
    batch = collate_utterances([found[i, i] for i in (1, 2)])
    assert batch["targets"].shape == (21, 2)
    assert batch["target_lengths"].tolist() == [6, 15]
    assert batch["feats"].shape == (2, 1, 60, MELS)


@pytest.mark.parametrize("seconds", [0.02, 0.04, 0.16])
def test_every_event_is_heard_and_its_edges_are_half_a_step_off_at_most(seconds):
    rng = np.random.default_rng(0)
    for _ in range(200):
        start, length = rng.uniform(0, 5), rng.uniform(0.001, 2)
        heard = active([Event(start, start + length, "a")], {"a": 0}, 1000, seconds)[:, 0].nonzero()[0]
        assert len(heard)
        if length > seconds:
            assert abs(heard[0] * seconds - start) <= seconds / 2 + 1e-9
            assert abs((heard[-1] + 1) * seconds - start - length) <= seconds / 2 + 1e-9


def test_a_long_recording_is_left_out_and_another_event_is_another_set(tmp_path):
    path = data_dir(tmp_path / "d")
    found = Annotations(path, STATS, LABELS).for_training(4, 0.01, LeaveOutSettings(max_frames=50, max_left_out=0.5))
    assert (found.utts, found.events) == (["s-1", "s-2"], [tuple(EVENTS["s-1"]), ()])
    assert found.left_out == {"s-3": "60 frames, more than the 50 of --max-frames"}
    with pytest.raises(
        AsitError, match=r"events: utterance 's-3': 60 frames.*1 of 3 cannot .*; correct the times, cut"
    ):
        Annotations(path, STATS, LABELS).for_training(4, 0.01, LeaveOutSettings(max_frames=50))
    other = data_dir(tmp_path / "e", {**EVENTS, "s-2": [Event(0.0, 0.1, "cat")]})
    digests = {Annotations(folder, STATS, LABELS).digest() for folder in (path, data_dir(tmp_path / "f"), other)}
    assert len(digests) == 2


def test_an_event_after_the_end_of_its_utterance_is_not_learned_from(tmp_path):
    path = data_dir(tmp_path / "d", {**EVENTS, "s-2": [Event(0.2, 0.5, "cat"), Event(0.4, 0.5, "cat")]})
    with pytest.raises(AsitError, match=r"utterance 's-2': an event starts at 0\.4 s, its frames end at 0\.21 s"):
        Annotations(path, STATS, LABELS).for_training(4, 0.01, LeaveOutSettings())


def test_events_and_features_that_do_not_fit(tmp_path):
    path = data_dir(tmp_path / "d")
    with pytest.raises(AsitError, match=r"events:2: 's-1': label 'cat' is not in labels\.txt"):
        Annotations(path, STATS, ["dog"])
    write_events(tmp_path / "d/events", {"s-1": [], "s-2": []})
    with pytest.raises(
        AsitError, match=r"'s-3' has features but no line; add its events, or 'utt -' where nothing hap"
    ):
        Annotations(path, STATS, LABELS)
    (tmp_path / "d/events").unlink()
    with pytest.raises(AsitError, match="d/events: no such file"):
        Annotations(path, STATS, LABELS)
