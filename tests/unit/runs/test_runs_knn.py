from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_helpers import build_corpus

from asit.config import Chosen
from asit.errors import AsitError
from asit.kaldi.table import read_table
from asit.recipes import record
from asit.runs.embedder import EmbedderSettings, unit_length
from asit.runs.knn import Settings, knn, votes
from asit.tasks import tagging

CPU = EmbedderSettings(ngpu=0, threads=1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return build_corpus(tmp_path_factory.mktemp("a corpus"))


def settings_of(corpus, out_dir, **options):
    options = {"valid_dir": corpus.path("valid"), "k": (1, 3, 7), "embedder": CPU, **options}
    return Settings(
        model=corpus.init,
        train_dir=corpus.path("train"),
        test_dir=corpus.path("test"),
        out_dir=str(out_dir),
        **options,
    )


def slow_votes(queries, memory, labels, k, temperature):
    """The definition, a clip at a time."""
    rows = []
    for query in queries:
        cosines = memory @ query
        order = np.argsort(-cosines, kind="stable")[:k]
        weights = np.exp(cosines[order] / temperature)
        rows.append((weights[:, None] * labels[order]).sum(axis=0) / weights.sum())
    return np.array(rows)


@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([0.07, 0.5, 5.0]))
def test_votes_equal_their_definition(seed, k, temperature):
    rng = np.random.default_rng(seed)
    memory, queries = (unit_length(rng.normal(size=(n, 4))) for n in (9, 5))
    labels = np.eye(3)[rng.integers(0, 3, 9)]
    found = votes(queries, memory, labels.argmax(axis=1), [1, k] if k > 1 else [1], temperature, 3)
    for size, scores in zip([1, k], found, strict=False):
        np.testing.assert_allclose(scores, slow_votes(queries, memory, labels, size, temperature), atol=1e-6)
        np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-6)


def test_more_queries_than_fit_at_once_are_all_scored():
    rng = np.random.default_rng(0)
    memory, queries = unit_length(rng.normal(size=(8, 3))), unit_length(rng.normal(size=(600, 3)))
    labels = np.eye(2)[rng.integers(0, 2, 8)]
    (found,) = votes(queries, memory, labels, [3], 0.1, labels.shape[1])
    np.testing.assert_allclose(found, slow_votes(queries, memory, labels, 3, 0.1), atol=1e-6)


def test_scores_a_backbone_in_the_form_of_an_evaluation(corpus, tmp_path):
    result = knn(settings_of(corpus, tmp_path, tags=("task=t", "labels=all")))
    assert record.load(tmp_path / "metrics.json") == result
    assert result.tags == {"system": "k nearest neighbours", "task": "t", "labels": "all"}
    assert result.trivial["chance"] == pytest.approx(1 / 3)
    assert result.value > 0.6, "the classes differ in level, which even an untrained network passes on"
    rows = [line.split() for line in read_table(tmp_path / "predictions").values()]
    assert np.mean([ref == hyp for ref, hyp, _ in rows]) == pytest.approx(result.value)
    assert (result.clips, result.train_clips) == (24, 36)


def test_k_is_chosen_on_the_validation_set_alone(corpus, tmp_path):
    """The test set's labels change nothing but the score; ties go to the smaller k."""
    chosen = knn(settings_of(corpus, tmp_path / "a")).provenance
    best = max(chosen["valid"].values())
    assert chosen["k"] == min(int(k) for k, value in chosen["valid"].items() if value == best)
    swapped = settings_of(corpus, tmp_path / "b")
    swapped = dataclasses.replace(swapped, test_dir=corpus.path("train"))
    assert knn(swapped).provenance["k"] == chosen["k"]
    for k in (1, 3, 7):
        alone = knn(settings_of(corpus, tmp_path / str(k), valid_dir="", k=(k,)))
        as_valid = dataclasses.replace(settings_of(corpus, tmp_path / f"v{k}", valid_dir="", k=(k,)))
        as_valid = dataclasses.replace(as_valid, test_dir=corpus.path("valid"))
        assert knn(as_valid).value == pytest.approx(chosen["valid"][str(k)])
        assert alone.provenance["k"] == k


def test_several_labels_a_clip_are_averaged(corpus, tmp_path):
    settings = settings_of(corpus, tmp_path, task=Chosen("tagging", tagging.Settings()))
    result = knn(settings)
    assert result.metric == "mAP"
    assert 0.5 < result.value <= 1.0
    assert json.loads((tmp_path / "metrics.json").read_text())["provenance"]["task"] == "tagging"


def test_layers_slices_and_an_untrained_control(corpus, tmp_path):
    values = {}
    for name, options in {
        "whole": {},
        "layer": {"probe_layer": 0, "pool_slices": 2},
        "fresh": {"from_scratch": True, "seed": 1},
    }.items():
        embedder = dataclasses.replace(CPU, **options)
        knn(settings_of(corpus, tmp_path / name, k=(36,), knn_temperature=1.0, valid_dir="", embedder=embedder))
        values[name] = (tmp_path / name / "predictions").read_text()
    assert len(set(values.values())) == 3


def test_mistakes_are_named(corpus, tmp_path):
    with pytest.raises(AsitError, match="'k': expected one number without --valid-dir, found 3"):
        knn(settings_of(corpus, tmp_path, valid_dir=""))
    with pytest.raises(AsitError, match="36 clips, fewer than the smallest k of 50"):
        knn(settings_of(corpus, tmp_path, k=(50, 100)))
    with pytest.raises(AsitError, match="'probe_layer': expected 0 to 2"):
        knn(settings_of(corpus, tmp_path, embedder=dataclasses.replace(CPU, probe_layer=9)))


def test_numbers_of_neighbours_beyond_the_training_set_are_left_out(corpus, tmp_path, caplog):
    result = knn(settings_of(corpus, tmp_path, k=(3, 100)))
    assert list(result.provenance["valid"]) == ["3"]
    assert "36 clips; only k up to 3 is tried" in caplog.text
