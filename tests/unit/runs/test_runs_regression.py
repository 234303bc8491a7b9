"""A task of another kind, with numbers for labels and an error that should be low, from training to the report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from runs_helpers import build_corpus

from asit import registry
from asit.config import Chosen, Options
from asit.data.clips import Clips
from asit.metrics.metric import Metric
from asit.models.trained import load_model
from asit.recipes import record
from asit.recipes.results import Settings as ReportSettings
from asit.recipes.results import results
from asit.runs import baseline, evaluate, finetune, windows

LEVELS = ["0", "3", "6"]
ERROR = Metric("mean_absolute_error", "dB", "lower")


@dataclass(frozen=True)
class Settings(Options):
    """No options."""


class Task:
    """The level of a clip in dB; targets are (n, 1) float32."""

    table = "utt2label"
    metrics = (ERROR, Metric("within_1_dB", "%", "higher"))
    multi_label = False
    num_outputs = 1

    def __init__(self, settings: Settings, labels: Sequence[str]) -> None:
        self.settings, self.labels = settings, list(labels)

    def targets(self, label_strings, utts=None, source="utt2label"):
        return np.array([[float(text)] for text in label_strings], dtype=np.float32)

    def soft(self, targets):
        return targets

    def loss(self, logits, targets):
        return F.l1_loss(logits, targets)

    def scores(self, logits):
        return logits.float()

    def decide(self, scores):
        return [f"{value:.2f}" for value in scores[:, 0]]

    def measure(self, scores, targets):
        errors = np.abs(scores - targets)
        return {ERROR.name: float(errors.mean()), "within_1_dB": float((errors < 1).mean())}


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """Three levels, and the task where the commands look for it."""
    load = registry.load
    component = SimpleNamespace(Task=Task, Settings=Settings)
    monkeypatch.setattr(registry, "load", lambda kind, name: component if name == "regression" else load(kind, name))
    return build_corpus(tmp_path, LEVELS)


def test_selection_scoring_printing_and_report(corpus, tmp_path):
    out = tmp_path / "exp/run_0"
    finetune.finetune(corpus.finetune_settings(out, task=Chosen("regression", Settings())))

    # The checkpoint of the least error is kept, which is not that of the greatest.
    log = (out / "train.log").read_text()
    logged = re.findall(r"valid after (\d+) updates: mean_absolute_error ([\d.]+) dB( \(best\))?", log)
    errors = {int(step): float(value) for step, value, _ in logged}
    kept = int(re.search(r"kept: the weights after update (\d+), mean_absolute_error [\d.]+ dB", log)[1])
    assert len(errors) > 2
    assert errors[kept] == min(errors.values()) < max(errors.values())
    assert [bool(best) for *_, best in logged] == [
        value < min([*before, np.inf]) for value, before in beginnings(errors)
    ]
    model = load_model(str(out / "model.safetensors"), torch.device("cpu"))
    clips = Clips(corpus.path("valid"), model.task, model.front_end.stats)
    scores = windows.score(
        model.classifier, model.task, clips.whole(), model.front_end, model.frames, windows.WindowSettings()
    )
    assert model.task.measure(scores, clips.targets)[ERROR.name] == pytest.approx(errors[kept], abs=1e-4)

    # One line for people, and metrics.json with unit and direction; no classes, so no table of classes.
    found = evaluate.evaluate(corpus.evaluate_settings(out))
    line = evaluate.summary("test", found)
    assert re.fullmatch(
        r"test: mean_absolute_error \d\.\d{3} dB, within_1_dB [\d.]+ %; scored 24 of 24 utterances in .*", line
    )
    assert record.load(out / "test/metrics.json") == found
    assert found.primary == ERROR
    assert sorted(path.name for path in (out / "test").iterdir()) == ["metrics.json", "predictions"]

    # A worse system stands below in the report, in dB as it was measured.
    worse = record.Record({**found.tags, "system": "worse"}, ERROR.name, {ERROR.name: 2.5}, found.declared, 24, 24)
    record.save(tmp_path / "exp/worse/metrics.json", worse)
    published = tmp_path / "published.yaml"
    rows = "[{system: A, value: 1.25, source: a}, {system: B, value: 0.5, source: b}]"
    published.write_text(
        "tables:\n  - {task: regression, metric: mean_absolute_error, unit: dB, better: lower, labels: all, "
        f"rows: {rows}}}\n"
    )
    text = results(ReportSettings(exp_dirs=(str(tmp_path / "exp"),), published=str(published)))
    assert "\nmean_absolute_error in dB, mean ± sample standard deviation over seeds" in text
    assert "\nmean_absolute_error in dB.\n" in text
    assert f"| pretrained | {found.value:.3f} (1) |\n| worse | 2.500 (1) |" in text
    assert (
        f"| **this recipe**, pretrained | | {found.value:.3f} (1) | |\n| B |  | 0.500 | b |\n| A |  | 1.250 |" in text
    )
    assert "%" not in text.split("## How these numbers were made")[0]


def beginnings(errors):
    """Each error and those before it."""
    values = list(errors.values())
    return [(value, values[:i]) for i, value in enumerate(values)]


def test_the_baseline_takes_the_regularisation_of_least_error(monkeypatch):
    """Models whose only output is log10 of their C, the target 1: the best C is 10."""
    monkeypatch.setattr(baseline, "_fit", lambda x, targets, c, task, where: c)
    monkeypatch.setattr(baseline, "_scores", lambda model, x, task: np.full((2, 1), np.log10(model)))
    clips = SimpleNamespace(targets=np.ones((2, 1)))
    sets, settings = {"train": clips, "valid": clips}, SimpleNamespace(train_dir="train", valid_dir="valid")
    chosen = baseline._chosen({"train": None, "valid": None}, sets, Task(Settings(), LEVELS), settings)
    assert chosen == (10.0, 10.0, 0.0)
