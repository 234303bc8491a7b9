from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn import metrics as reference

from asit.metrics import accuracy as acc
from asit.metrics import auc_dprime, average_precision
from asit.metrics import eer as verification


def draw(seed: int, n: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Binary trials with many ties (few score levels) and both classes present."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, n)
    targets[:2] = 0, 1
    return rng.integers(0, levels, n) / levels + 0.2 * targets, targets


trials = st.tuples(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 40))


@settings(deadline=None, max_examples=60)
@given(trials)
def test_average_precision_equals_sklearn(trial):
    scores, targets = draw(*trial)
    expected = reference.average_precision_score(targets, scores)
    assert average_precision.average_precision(scores, targets) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(trials)
def test_auc_equals_sklearn(trial):
    scores, targets = draw(*trial)
    assert auc_dprime.auc(scores, targets) == pytest.approx(reference.roc_auc_score(targets, scores), abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(trials)
def test_eer_is_where_the_interpolated_roc_meets_the_diagonal(trial):
    scores, targets = draw(*trial)
    fpr, tpr, _ = reference.roc_curve(targets, scores, drop_intermediate=False)
    expected = brentq(lambda x: 1.0 - x - np.interp(x, fpr, tpr), 0.0, 1.0)
    # where the curve is vertical np.interp takes its upper end, ours the crossing: bound from both sides
    assert verification.eer(scores, targets) == pytest.approx(expected, abs=1e-6) or np.isclose(fpr, expected).any()


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


def test_confusion_and_accuracies_equal_sklearn():
    rng = np.random.default_rng(0)
    targets, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    rows, columns, clips = acc.confusion_pairs(predicted, targets, 4)
    confusion = np.zeros((4, 4), dtype=np.int64)
    confusion[rows, columns] = clips
    np.testing.assert_array_equal(confusion, reference.confusion_matrix(targets, predicted))
    assert acc.accuracy(predicted, targets) == pytest.approx(reference.accuracy_score(targets, predicted))
    found = acc.balanced_accuracy(predicted, targets, 4)
    assert found == pytest.approx(reference.balanced_accuracy_score(targets, predicted))


def test_absent_classes_are_left_out_of_the_balanced_accuracy():
    predicted, targets = np.array([0, 0, 1]), np.array([0, 0, 0])
    assert acc.balanced_accuracy(predicted, targets, 3) == pytest.approx(2 / 3)
    assert np.isnan(acc.per_class_accuracy(predicted, targets, 3)[1:]).all()


def test_macro_means_leave_out_and_count_classes_without_positives():
    rng = np.random.default_rng(1)
    scores, targets = rng.random((50, 3)), rng.integers(0, 2, (50, 3)).astype(np.float32)
    targets[:, 1] = 0
    found = average_precision.mean_average_precision(scores, targets)
    expected = np.mean([reference.average_precision_score(targets[:, c], scores[:, c]) for c in (0, 2)])
    assert found == (pytest.approx(expected), 2, 1)
    areas = auc_dprime.mean_auc_dprime(scores, targets)
    expected = np.mean([reference.roc_auc_score(targets[:, c], scores[:, c]) for c in (0, 2)])
    assert areas.auc == pytest.approx(expected)
    assert areas[2:] == (2, 1)


def test_dprime_of_two_shifted_normals():
    rng = np.random.default_rng(2)
    scores = np.concatenate([rng.normal(1.5, 1, 40_000), rng.normal(0, 1, 40_000)])
    targets = np.repeat([1, 0], 40_000)
    assert auc_dprime.dprime(auc_dprime.auc(scores, targets)) == pytest.approx(1.5, abs=0.03)
