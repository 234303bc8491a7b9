from __future__ import annotations

import json

import numpy as np
import pytest

from asit.errors import AsitError
from asit.train.run_log import MetricLog, read_metrics


def test_lines_after_the_checkpoint_are_dropped(tmp_path):
    first = MetricLog(tmp_path, 0, tensorboard=False)
    for step in (1, 2, 3):
        first.scalars(step, {"loss": step / 3})
    first.close()
    with open(tmp_path / "metrics.jsonl", "a") as stream:
        stream.write('{"step": 4, "lo')  # killed while writing
    second = MetricLog(tmp_path, 2, tensorboard=False)
    second.scalars(3, {"loss": 9.0}, "valid")
    second.close()
    rows = read_metrics(tmp_path / "metrics.jsonl")
    assert [(r["step"], r["kind"]) for r in rows] == [(1, "train"), (2, "train"), (3, "valid")]
    assert rows[0]["loss"] == 1 / 3


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\nhello\n{"step": 2}\n')
    with pytest.raises(AsitError, match=r"metrics\.jsonl:2"):
        read_metrics(path)


def test_only_the_main_rank_writes(tmp_path):
    other = MetricLog(tmp_path, 0, main=False)
    other.scalars(1, {"loss": 1.0})
    other.pictures(1, {"x": np.zeros((2, 2), np.uint8)})
    other.close()
    assert not list(tmp_path.iterdir())


def test_tensorboard_and_pictures(tmp_path):
    logs = MetricLog(tmp_path, 0)
    logs.scalars(1, {"loss": 1.0})
    logs.pictures(1, {"x": np.zeros((2, 3, 3), np.uint8)})
    with pytest.raises(ValueError, match="expected uint8"):
        logs.pictures(1, {"x": np.zeros((2, 3))})
    logs.close()
    assert (tmp_path / "images/x.00000001.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "tensorboard").iterdir())
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["loss"] == 1.0
