"""The benchmarks' yardstick does the same work, their levers change nothing but time, and the report is generated."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
SMALL = {"embed_dim": 24, "depth": 1, "heads": 3, "head_hidden": 16, "head_bottleneck": 8, "drop_path": 0.0}


@pytest.fixture
def modules(monkeypatch):
    """The scripts as modules."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield __import__
    for name in ("measure", "plain", "training_step", "step", "report"):
        sys.modules.pop(name, None)


def test_the_published_masks_cover_their_share(modules) -> None:
    plain = modules("plain")
    random = np.random.default_rng(0)
    masks = [plain.published_mask((64, 32), 0.5, random) for _ in range(20)]
    assert all(0.5 <= mask.mean() < 0.75 for mask in masks)
    crops = random.standard_normal((4, 1, 64, 32)).astype(np.float32)
    corrupted, mask = plain.published_corruption(crops, 0.5, 0.3, random)
    assert (corrupted[~mask] == crops[~mask]).all()
    assert (corrupted[mask] != crops[mask]).all()


def test_a_plain_step_and_a_fast_one_in_float32_learn_the_same(modules) -> None:
    """Losses only: where a gradient is zero but for rounding (the keys' bias), Adam moves parameters apart."""
    step = modules("step")
    losses = []
    for levers in (step.PLAIN, step.ALL - {"bf16", "masks"}):
        one = step.Step("tiny", "v2", levers, 2, torch.device("cpu"), frames=64, **SMALL, prototypes=(32,))
        for _ in range(2):
            one()
        losses.append({name: value.item() for name, value in one.losses().items()})
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_report_holds_every_table_and_says_where_it_comes_from(modules, tmp_path: Path) -> None:
    report = modules("report")
    facts = {
        "name": "x", "title": "A table", "command": "python benchmarks/x.py", "machine": {"cpu": "some", "gpu": ""},
        "rows": [["1", 2]], "notes": ["noted"], "figures": [{"file": "x.png", "caption": "Cost"}],
        "columns": ["a", "b"],
    }  # fmt: skip
    (tmp_path / "x.json").write_text(json.dumps(facts))
    (tmp_path / "step.json").write_text(json.dumps({**facts, "title": "First", "figures": []}))
    text = report.report(tmp_path)
    assert text.index("## First") < text.index("## A table")
    for wanted in (
        "| a | b |",
        "| 1 | 2 |",
        "- noted",
        "![Cost](performance/x.png)",
        "python benchmarks/x.py",
        "cpu some",
    ):
        assert wanted in text
    assert "gpu" not in text.split("## A table")[1]
