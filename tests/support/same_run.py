"""Whether two runs did the same: what they logged, and what their checkpoints hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from asit.train.run_log import read_metrics

SPEED = ("clips_per_second", "wait_share", "seconds_left")  # of the machine, not of the run


def logged(out_dir: Path) -> list[dict[str, Any]]:
    """The training lines of a run's metrics.jsonl, without the machine's speed."""
    rows = [row for row in read_metrics(out_dir / "metrics.jsonl") if row["kind"] == "train"]
    return [{name: value for name, value in row.items() if name not in SPEED} for row in rows]


def same(a: object, b: object) -> bool:
    """Bit by bit: tensors in dictionaries and lists."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b
