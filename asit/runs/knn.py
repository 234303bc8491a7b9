"""k-nearest-neighbour classification in the space of a frozen backbone: what it knows without any training.

The neighbours of a clip are the training clips of largest cosine; each votes for its label with the weight
exp(cosine / temperature), as DINO does (Caron et al. 2021, section 4.2.1; Wu et al. 2018). k is the one that is best
on the validation set. With several labels a clip, a neighbour votes for each of its labels, and a class's score is
the share of the votes that it got. n clips, m training clips, D width, C classes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asit import registry
from asit.config import REQUIRED, Chosen, Options, chosen, group, option, to_dict
from asit.data.clips import Clips, ClipSettings
from asit.errors import AsitError
from asit.kaldi.data_dir import DataDir
from asit.models.trained import check_front_end
from asit.recipes import record
from asit.recipes.provenance import provenance
from asit.recipes.record import Record
from asit.runs.embedder import Embedder, EmbedderSettings, unit_length
from asit.runs.evaluate import write_result

log = logging.getLogger(__name__)
SYSTEM = "k nearest neighbours"
ROWS = 256  # clips whose similarities to all training clips are held at once


@dataclass(frozen=True)
class Settings(Options):
    """Score a frozen backbone by the labels of a clip's nearest training clips, in the form of asit-evaluate."""

    model: str = option(REQUIRED, "backbone.safetensors of asit-pretrain, or model.safetensors of asit-finetune")
    train_dir: str = option(REQUIRED, "data directory of the neighbours; its labels.txt lists the classes")
    valid_dir: str = option("", "data directory on which k is chosen; empty: --k must be one number")
    test_dir: str = option(REQUIRED, "data directory to score")
    out_dir: str = option(REQUIRED, "folder for metrics.json and predictions")
    k: tuple[int, ...] = option((1, 5, 10, 20, 50, 100, 200), "numbers of neighbours to choose from", least=1)
    knn_temperature: float = option(0.07, "a neighbour's vote weighs exp(cosine / this)", above=0)
    tags: tuple[str, ...] = option((), f"name=value words for the report; system is '{SYSTEM}' unless given")
    clips: ClipSettings = group(ClipSettings)
    task: Chosen = chosen("tasks", "classification", "kind of task")
    embedder: EmbedderSettings = group(EmbedderSettings)


def knn(settings: Settings) -> Record:
    """Embed the sets, choose k on the validation set (ties: the smaller), score the test set, write everything.

    Raises:
        AsitError: several k without a validation set, another front end than the model's, unknown labels, missing
            features, fewer training clips than the smallest k.
    """
    began = time.monotonic()
    record.discard(settings.out_dir)
    if not settings.k or (not settings.valid_dir and len(settings.k) > 1):
        raise AsitError(
            f"option 'k': expected one number without --valid-dir, found {len(settings.k)}; k is chosen on a "
            "validation set, never on the test set"
        )
    embedder = Embedder(settings.model, settings.embedder)
    task = registry.load("tasks", settings.task.name).Task(
        settings.task.settings, list(DataDir(settings.train_dir).labels)
    )

    def embedded(path: str) -> tuple[Clips, np.ndarray]:
        check_front_end(embedder.front_end, path, settings.model)
        clips = Clips(path, task, embedder.front_end.stats, settings.clips.max_missing)
        return clips, unit_length(embedder.vectors(clips.whole()))

    train, memory = embedded(settings.train_dir)
    ks = sorted({k for k in settings.k if k <= len(train)})
    if not ks:
        raise AsitError(f"{settings.train_dir}: {len(train)} clips, fewer than the smallest k of {min(settings.k)}")
    if len(ks) < len(set(settings.k)):
        log.warning("%s: %d clips; only k up to %d is tried", settings.train_dir, len(train), ks[-1])
    values: dict[int, float] = {}
    metric, best = task.metrics[0], ks[0]
    if settings.valid_dir:
        valid, queries = embedded(settings.valid_dir)
        for k, scores in zip(
            ks, votes(queries, memory, train.targets, ks, settings.knn_temperature, task.num_outputs), strict=True
        ):
            values[k] = task.measure(scores, valid.targets)[metric.name]
            best = k if metric.improves(values[k], values[best]) else best
        if all(np.isnan(value) for value in values.values()):
            raise AsitError(f"{settings.valid_dir}: {metric.name} is undefined on the validation set; check its labels")
    test, queries = embedded(settings.test_dir)
    (scores,) = votes(queries, memory, train.targets, [best], settings.knn_temperature, task.num_outputs)
    facts = {**to_dict(settings), "k": best, "valid": {str(k): value for k, value in values.items()}}
    return write_result(
        settings.out_dir,
        task,
        test,
        scores,
        began,
        tags={**embedder.tags, "system": SYSTEM, **record.parse_tags(settings.tags)},
        train_clips=len(train),
        facts={**facts, **provenance()},
        trivial=task.trivial(train.targets, test.targets),
    )


def votes(
    queries: np.ndarray, memory: np.ndarray, labels: np.ndarray, ks: Sequence[int], temperature: float, classes: int
) -> list[np.ndarray]:
    """Shares of the votes (n, C) float32 for each k of ``ks``.

    Args:
        queries: (n, D) and memory: (m, D), rows of length 1. labels: of the training clips, class indices (m,), or
            (m, C) with 1 where a clip has the label.
        ks: ascending, none above m.

    >>> memory, labels = np.eye(2, dtype=np.float32), np.array([0, 1])
    >>> [round(float(scores[0, 0]), 3) for scores in votes(memory[:1], memory, labels, [1, 2], 1.0, classes=2)]
    [1.0, 0.731]
    """
    found = [np.zeros((len(queries), classes), dtype=np.float32) for _ in ks]
    for start in range(0, len(queries), ROWS):
        cosines = queries[start : start + ROWS] @ memory.T
        nearest = np.argpartition(-cosines, ks[-1] - 1, axis=1)[:, : ks[-1]]
        near = np.take_along_axis(cosines, nearest, axis=1)
        order = np.argsort(-near, axis=1, kind="stable")
        nearest, near = np.take_along_axis(nearest, order, axis=1), np.take_along_axis(near, order, axis=1)
        weights = np.exp((near - near[:, :1]) / temperature)  # relative to the nearest: no overflow
        got, cast = np.zeros((len(cosines), classes)), np.zeros((len(cosines), 1))
        clips = np.arange(len(cosines))
        for j in range(ks[-1]):
            if labels.ndim == 1:  # one class a neighbour: no row of zeros for all the others
                got[clips, labels[nearest[:, j]]] += weights[:, j]
            else:
                got += weights[:, j, None] * labels[nearest[:, j]]
            cast += weights[:, j, None]
            if j + 1 in ks:
                found[ks.index(j + 1)][start : start + ROWS] = got / cast
    return found
