"""Metrics against their definitions, counted out, and against the values of asit 0.1's own formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from asit.metrics import eer as verification
from asit.metrics import ranking
from asit.metrics.accuracy import confusion_pairs, recalls
from asit.tasks import classification, tagging


def draw(seed: int, n: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Binary trials with many ties (few score levels) and both classes present."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, n)
    targets[:2] = 0, 1
    return rng.integers(0, levels, n) / levels + 0.2 * targets, targets


def draw_tags(seed: int, n: int, classes: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and tags, one clip in ten; class 1 has no positives, class 2 nothing else."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, (n, classes)).astype(np.float32) / levels
    targets = (rng.random((n, classes)) < 0.1).astype(np.float32)
    targets[:, 1], targets[:, 2] = 0, 1
    return scores, targets


def column(values: np.ndarray) -> np.ndarray:
    return values[:, None]


trials = st.tuples(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 40))


@settings(deadline=None, max_examples=60)
@given(trials)
def test_average_precision_sums_precision_over_the_gains_in_recall(trial):
    scores, targets = draw(*trial)
    expected, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):  # equal scores are one threshold
        chosen = targets[scores >= threshold]
        expected += chosen.mean() * (chosen.sum() / targets.sum() - before)
        before = chosen.sum() / targets.sum()
    assert ranking.average_precisions(column(scores), column(targets)).tolist() == [pytest.approx(expected, abs=1e-12)]


@settings(deadline=None, max_examples=60)
@given(trials)
def test_area_is_the_share_of_pairs_in_the_right_order(trial):
    scores, targets = draw(*trial)
    margins = np.subtract.outer(scores[targets == 1], scores[targets == 0])
    expected = (margins > 0).mean() + (margins == 0).mean() / 2
    assert ranking.areas(column(scores), column(targets)).tolist() == [pytest.approx(expected, abs=1e-12)]


@settings(deadline=None, max_examples=60)
@given(trials)
def test_eer_is_where_the_interpolated_roc_meets_the_diagonal(trial):
    scores, targets = draw(*trial)
    thresholds = [np.inf, *sorted(set(scores), reverse=True)]
    tpr = np.array([(scores[targets == 1] >= threshold).mean() for threshold in thresholds])
    fpr = np.array([(scores[targets == 0] >= threshold).mean() for threshold in thresholds])
    for found, wanted in zip(verification.error_rates(scores, targets), (1 - tpr, fpr), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)
    expected = brentq(lambda x: 1.0 - x - np.interp(x, fpr, tpr), 0.0, 1.0)
    # where the curve is vertical np.interp takes its upper end, ours the crossing: bound from both sides
    assert verification.eer(scores, targets) == pytest.approx(expected, abs=1e-6) or np.isclose(fpr, expected).any()


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ((0, 50, 4, 5), [0.41632030603804787, 0.4372979797979798, -0.22319599204164503, 3, 1]),
        ((1, 200, 5, 1000), [0.32143878776044726, 0.47085003884771187, -0.10342604311432751, 4, 1]),
        ((2, 2000, 20, 50), [0.1531054038204687, 0.5067781356401739, 0.024029021368838718, 19, 1]),
    ],
)
def test_tagging_has_the_values_of_the_former_formulas(drawn, expected):
    scores, targets = draw_tags(*drawn)
    found = tagging.Task(tagging.Settings(), [f"tag{i}" for i in range(scores.shape[1])]).measure(scores, targets)
    assert list(found.values()) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ((0, 50, 5), [0.34615384615384615, 0.8076923076923077, 0.8076923076923077]),
        ((1, 200, 1000), [0.3942307692307693, 0.7788461538461539, 0.7788461538461539]),
        ((2, 2000, 50), [0.41369047619047616, 0.8195564516129032, 0.8195564516129034]),
    ],
)
def test_verification_has_the_values_of_the_former_formulas(drawn, expected):
    scores, targets = draw(*drawn)
    found = [verification.eer(scores, targets), *(verification.min_dcf(scores, targets, p) for p in (0.01, 0.05))]
    assert found == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ((0, 50, 4), [0.66, 0.6204326923076923, 0]),
        ((1, 200, 30), [0.57, 0.580978835978836, 0]),
        ((2, 2000, 500), [0.5115, 0.5090842230862598, 9]),
    ],
)
def test_classification_has_the_values_of_the_former_formulas(drawn, expected):
    seed, clips, classes = drawn
    rng = np.random.default_rng(seed)
    predicted, targets = rng.integers(0, classes, (2, clips))
    predicted = np.where(rng.random(clips) < 0.5, targets, predicted)
    task = classification.Task(classification.Settings(), [f"class{i}" for i in range(classes)])
    scores = np.eye(classes, dtype=np.float32)[predicted]
    found = [*task.measure(scores, targets).values(), np.isnan(task.per_class(scores, targets)).sum()]
    assert found == pytest.approx(expected, abs=1e-14)


def test_eer_of_separated_and_reversed_trials():
    scores, targets = np.array([3.0, 2.0, 1.0, 0.0]), np.array([1, 1, 0, 0])
    assert verification.eer(scores, targets) == 0.0
    assert verification.eer(-scores, targets) == 1.0


def test_min_dcf_never_exceeds_the_blind_decision():
    scores, targets = draw(3, 40, 5)
    assert verification.min_dcf(scores, targets) <= 1.0
    assert verification.min_dcf(np.zeros(40), targets) == 1.0


def test_eer_needs_both_kinds_of_trial():
    with pytest.raises(ValueError, match="expected target and non-target trials, found 0 and 3"):
        verification.eer(np.zeros(3), np.zeros(3))


def test_confusion_counts_the_pairs_that_occur():
    rng = np.random.default_rng(0)
    targets, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    for reference, hypothesis, clips in zip(*confusion_pairs(predicted, targets, 4), strict=True):
        assert clips == ((targets == reference) & (predicted == hypothesis)).sum() > 0


def test_classes_without_clips_are_left_out_of_the_balanced_accuracy():
    predicted, targets = np.array([0, 0, 1]), np.array([0, 0, 0])
    np.testing.assert_array_equal(recalls(predicted, targets, 3), [2 / 3, np.nan, np.nan])
    task = classification.Task(classification.Settings(), ["a", "b", "c"])
    assert task.measure(np.eye(3)[predicted], targets)["balanced_accuracy"] == pytest.approx(2 / 3)


def test_classes_that_cannot_be_scored_are_nan_without_a_warning(recwarn):
    scores, targets = draw_tags(1, 50, 4, 1000)
    assert np.isnan(ranking.average_precisions(scores, targets)).tolist() == [False, True, False, False]
    assert np.isnan(ranking.areas(scores, targets)).tolist() == [False, True, True, False]
    recalls(np.array([0, 1]), np.array([0, 0]), 3)
    assert not recwarn.list


def test_dprime_of_two_shifted_normals():
    rng = np.random.default_rng(2)
    scores = np.concatenate([rng.normal(1.5, 1, 40_000), rng.normal(0, 1, 40_000)])
    targets = np.repeat([1, 0], 40_000)
    area = ranking.areas(column(scores), column(targets)).item()
    assert ranking.dprime(area) == pytest.approx(1.5, abs=0.03)
