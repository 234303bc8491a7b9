"""The trivial baseline: statistics of the log-mels over time and logistic regression."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from asit import registry
from asit.config import REQUIRED, Chosen, Options, chosen, group, option, to_dict
from asit.data.clips import Clips, ClipSettings
from asit.errors import AsitError
from asit.features.stats import Stats
from asit.kaldi.data_dir import DataDir
from asit.recipes import record
from asit.recipes.provenance import provenance
from asit.recipes.record import Record
from asit.runs.evaluate import write_result

REGULARISATION = tuple(10.0**e for e in range(-4, 4))  # values of C tried on the validation set
UNUSED = Stats(mean=0.0, std=1.0, frames=0)  # the inputs are standardised by the training clips instead
SYSTEM = "log-mel statistics + logistic regression"


@dataclass(frozen=True)
class Settings(Options):
    """Score summary statistics of the log-mels with logistic regression, in the form of asit-evaluate."""

    train_dir: str = option(REQUIRED, "data directory to train on; its labels.txt lists the classes")
    valid_dir: str = option("", "data directory on which the regularisation is chosen; empty: C = 1")
    test_dir: str = option(REQUIRED, "data directory to score")
    out_dir: str = option(REQUIRED, "folder for metrics.json and predictions")
    deltas: bool = option(False, "also the mean absolute change between neighbouring frames")
    tags: tuple[str, ...] = option((), f"name=value words for the report; system is '{SYSTEM}' unless given")
    clips: ClipSettings = group(ClipSettings)
    task: Chosen = chosen("tasks", "classification", "kind of task")


def statistics(feats: np.ndarray, deltas: bool) -> np.ndarray:
    """Mean and standard deviation over time of each mel bin: (2 F,), or (3 F,) with ``deltas``.

    >>> statistics(np.array([[0.0, 2.0], [2.0, 2.0]]), deltas=True).tolist()
    [1.0, 2.0, 1.0, 0.0, 2.0, 0.0]
    """
    parts = [feats.mean(axis=0), feats.std(axis=0)]
    if deltas:
        parts.append(np.abs(np.diff(feats, axis=0)).mean(axis=0) if len(feats) > 1 else np.zeros(feats.shape[1]))
    return np.concatenate(parts)


def baseline(settings: Settings) -> Record:
    """Train, choose C on the validation set (ties: the smaller; 1 without one), score the test set, write everything.

    Raises:
        AsitError: unknown labels, missing features, a training set with fewer than two classes.
    """
    began = time.monotonic()
    record.discard(settings.out_dir)
    train_dir = DataDir(settings.train_dir)
    task = registry.load("tasks", settings.task.name).Task(settings.task.settings, list(train_dir.labels))
    paths = {"train": settings.train_dir, "valid": settings.valid_dir, "test": settings.test_dir}
    sets = {name: Clips(path, task, UNUSED, settings.clips.max_missing) for name, path in paths.items() if path}
    inputs = {
        name: np.stack([statistics(feats, settings.deltas) for feats in clips.whole()]) for name, clips in sets.items()
    }
    mean, std = inputs["train"].mean(axis=0), inputs["train"].std(axis=0)
    inputs = {name: (x - mean) / np.maximum(std, 1e-6) for name, x in inputs.items()}
    train, test = sets["train"], sets["test"]
    model, c, value = _chosen(inputs, sets, task, settings)
    return write_result(
        settings.out_dir,
        task,
        test,
        _scores(model, inputs["test"], task),
        began,
        tags={"system": SYSTEM, **record.parse_tags(settings.tags)},
        train_clips=len(train),
        facts={**provenance(), "C": c, "valid": value, **to_dict(settings)},
        trivial=task.trivial(train.targets, test.targets),
    )


def _chosen(
    inputs: dict[str, np.ndarray], sets: dict[str, Clips], task: Any, settings: Settings
) -> tuple[list[tuple[np.ndarray, Any]], float, float]:
    """(models, C, value on the validation set) of the best C; of C = 1 and nan without a validation set."""
    train = inputs["train"], sets["train"].targets
    if "valid" not in sets:
        return _fit(*train, 1.0, task, settings.train_dir), 1.0, math.nan
    metric, best_value, best_model, best_c = task.metrics[0], math.nan, None, 0.0
    for c in REGULARISATION:
        model = _fit(*train, c, task, settings.train_dir)
        value = task.measure(_scores(model, inputs["valid"], task), sets["valid"].targets)[metric.name]
        if metric.improves(value, best_value):
            best_value, best_model, best_c = value, model, c
    if best_model is None:
        raise AsitError(f"{settings.valid_dir}: {metric.name} is undefined on the validation set: no clip to score")
    return best_model, best_c, best_value


def _fit(x: np.ndarray, targets: np.ndarray, c: float, task: Any, where: str) -> list[tuple[np.ndarray, Any]]:
    """Models with the classes each of them scores: one for all, or one for each tag."""
    if not task.multi_label:
        if len(np.unique(targets)) < 2:
            raise AsitError(f"{where}: expected clips of at least 2 classes to train on, found 1")
        model = _regression(c).fit(x, targets)
        return [(model.classes_, model)]
    seen = [i for i in range(task.num_outputs) if 0 < targets[:, i].sum() < len(targets)]
    return [(np.array([i]), _regression(c).fit(x, targets[:, i] > 0.5)) for i in seen]


def _regression(c: float) -> Any:
    from sklearn.linear_model import LogisticRegression  # slow to import

    return LogisticRegression(C=c, max_iter=1000)


def _scores(models: list[tuple[np.ndarray, Any]], x: np.ndarray, task: Any) -> np.ndarray:
    """Probabilities (n, C) float32; 0 for classes that the training set does not have."""
    scores = np.zeros((len(x), task.num_outputs), dtype=np.float32)
    for classes, model in models:
        found = model.predict_proba(x)
        scores[:, classes] = found[:, 1:] if task.multi_label else found
    return scores
