"""Scores outlive their picture; what is written of many classes is what a person can read."""

from __future__ import annotations

import csv
import dataclasses
import os
import tracemalloc
import warnings

import numpy as np
import pytest

from asit.errors import AsitError
from asit.io import atomic
from asit.metrics.accuracy import confusion_pairs
from asit.recipes import record
from asit.runs import baseline, confusion, evaluate, knn, pictures, verify
from asit.tasks import classification

AWKWARD = [
    "A$AP $x",
    "a_b^{",
    r"\frac{1",
    "$",
    "$$",
    "%",
    "line\nbreak",
    "\U0001f600 emoji",
    "日本",
    "x" * 5000,
    "",
    " ",
]


class Clips:
    """What write_result reads of the clips."""

    def __init__(self, labels, targets):
        self.targets = np.array(targets)
        self.utts = [f"u{i:05d}" for i in range(len(targets))]
        self.labels = [labels[i] for i in targets]
        self.expected, self.missing = len(targets), []

    def __len__(self):
        return len(self.utts)


def write(folder, labels, targets, predicted):
    task = classification.Task(classification.Settings(), labels)
    scores = np.zeros((len(targets), len(labels)), dtype=np.float32)
    scores[np.arange(len(targets)), predicted] = 1.0
    return evaluate.write_result(
        str(folder), task, Clips(labels, targets), scores, 0.0, tags={"task": "t"}, train_clips=0, facts={}
    )


@pytest.mark.parametrize("many", [False, True], ids=["matrix", "pairs"])
def test_any_label_is_drawn_as_it_is_written(tmp_path, many):
    labels = AWKWARD + [f"c{i}" for i in range(300 if many else 0)]
    pairs = confusion_pairs(np.roll(np.arange(len(AWKWARD)), 1), np.arange(len(AWKWARD)), len(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        confusion.draw(tmp_path / "c.png", pairs, labels)
        confusion.write_table(tmp_path / "c.csv", pairs, labels)
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    with open(tmp_path / "c.csv", newline="") as stream:
        assert {row[0] for row in csv.reader(stream)} >= set(AWKWARD)


def test_dollar_signs_are_scored(tmp_path):
    result = write(tmp_path, ["A$AP $x", "other"], [0, 0, 1], [0, 1, 1])
    assert record.load(tmp_path / "metrics.json").value == result.value == pytest.approx(2 / 3)
    assert {"confusion.png", "confusion.csv", "predictions", "per_class.csv"} <= set(os.listdir(tmp_path))


def test_a_picture_that_fails_is_a_warning_and_no_old_one_stays(tmp_path, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("no\nfont")

    monkeypatch.setattr(pictures, "save_confusion", fail)
    (tmp_path / "confusion.png").write_text("old")
    write(tmp_path, ["a", "b"], [0, 1], [0, 1])
    assert record.load(tmp_path / "metrics.json").value == 1.0
    assert not (tmp_path / "confusion.png").exists()
    assert "not drawn (RuntimeError: no font); the scores are complete without it" in caplog.text


def test_six_thousand_classes_take_the_room_of_their_list(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "save", lambda figure, path: None)  # drawing takes long when memory is traced
    classes = 6000
    labels = [f"id{i:05d}" for i in range(classes)]
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, 400)
    predicted = np.where(rng.random(400) < 0.5, targets, (targets + 1) % classes)
    predicted[:3], targets[:3] = 8, 7
    tracemalloc.start()
    write(tmp_path, labels, targets, predicted)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 << 20, "a matrix of all pairs has 288 MB"
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1 << 20
    with open(tmp_path / "confusion.csv", newline="") as stream:
        head, first, *rest = csv.reader(stream)
    assert head == ["reference", "hypothesis", "clips", "clips_of_reference"]
    assert first[:3] == ["id00007", "id00008", "3"]
    assert sum(int(row[2]) for row in (first, *rest)) == (predicted != targets).sum()


@pytest.mark.parametrize(("classes", "columns"), [(200, 201), (201, 4)])
def test_up_to_200_classes_the_matrix_is_whole(tmp_path, classes, columns):
    labels = [f"c{i}" for i in range(classes)]
    pairs = confusion_pairs(np.array([1, 1, 3]), np.array([0, 0, 3]), classes)
    confusion.write_table(tmp_path / "c.csv", pairs, labels)
    lines = (tmp_path / "c.csv").read_text().splitlines()
    assert len(lines[0].split(",")) == columns
    assert lines[1].startswith("c0,0,2,0" if classes == 200 else "c0,c1,2,2")


def test_votes_of_many_classes_need_no_row_for_each_training_clip():
    rng = np.random.default_rng(0)
    memory = rng.normal(size=(4000, 2)).astype(np.float32)
    targets = rng.integers(0, 5000, 4000)
    tracemalloc.start()
    (found,) = knn.votes(memory[:2], memory, targets, [3], 1.0, 5000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-6)
    assert peak < 20 << 20, "one row of shares a training clip has 80 MB"


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        (evaluate.evaluate, evaluate.Settings(model="gone", data_dir="gone", out_dir="OUT")),
        (baseline.baseline, baseline.Settings(train_dir="gone", test_dir="gone", out_dir="OUT")),
        (knn.knn, knn.Settings(model="gone", train_dir="gone", test_dir="gone", out_dir="OUT")),
        (verify.verify, verify.Settings(trials="gone", data_dir="gone", out_dir="OUT", model="gone")),
    ],
    ids=["evaluate", "baseline", "knn", "verify"],
)
def test_no_old_score_outlives_a_failed_scoring(tmp_path, command, settings):
    atomic.write_text(tmp_path / "metrics.json", "{}")
    with pytest.raises(AsitError):
        command(dataclasses.replace(settings, out_dir=str(tmp_path)))
    assert not (tmp_path / "metrics.json").exists()
