from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from asit.config import to_dict
from asit.errors import AsitError
from asit.tasks import classification, tagging

LABELS = ["alfa", "bravo", "charlie"]


def make(module, **options):
    return module.Task(module.Settings(**options), LABELS)


@pytest.mark.parametrize("module", [classification, tagging])
def test_unknown_label_names_utterance_label_and_file(module):
    with pytest.raises(AsitError) as error:
        make(module).targets(["alfa", "brave"], ["u1", "u2"], "data/x/utt2label")
    message = str(error.value)
    assert "data/x/utt2label" in message
    assert "u2" in message
    assert "'brave'" in message
    assert "'bravo'" in message


def test_classification_refuses_several_labels_and_points_to_tagging():
    with pytest.raises(AsitError, match=r"utterance u1: expected one label, found 2.*tagging"):
        make(classification).targets(["alfa,bravo"], ["u1"])


@pytest.mark.parametrize(("module", "least"), [(classification, 2), (tagging, 1)])
def test_label_list_must_be_unique_and_long_enough(module, least):
    with pytest.raises(AsitError, match="'a' is listed twice"):
        module.Task(module.Settings(), ["a", "b", "a"])
    with pytest.raises(AsitError, match=f"at least {least} classes, found {least - 1}"):
        module.Task(module.Settings(), ["a", "b"][: least - 1])
    assert module.Task(module.Settings(), ["a", "b"][:least]).num_outputs == least


def test_a_clip_with_none_of_the_tags():
    task = make(tagging)
    strings = ["-", "alfa,charlie", "-"]
    assert task.targets(strings).tolist() == [[0, 0, 0], [1, 0, 1], [0, 0, 0]]
    assert task.multi_hot(strings).counts().tolist() == [1, 0, 1]
    assert task.multi_hot(strings)[2].tolist() == [0, 0, 0]
    with pytest.raises(AsitError, match=r"utterance u1: expected one label, found 0 in '-'.*tagging"):
        make(classification).targets(["-"], ["u1"])
    with pytest.raises(AsitError, match="label '-' means"):
        task.targets(["alfa,-"], ["u1"])


def test_a_single_tag_is_scored_against_clips_without_it():
    task = tagging.Task(tagging.Settings(), ["bird"])
    targets = task.targets(["bird", "-", "-", "bird"])
    scores = np.array([[0.9], [0.2], [0.6], [0.3]], dtype=np.float32)
    found = task.measure(scores, targets)
    assert (found["classes_scored"], found["auc"]) == (1, 0.75)
    assert task.decide(scores) == ["bird", "-", "bird", "-"]
    assert np.isnan(task.measure(scores, np.zeros_like(targets))["mAP"])
    assert task.loss(torch.zeros(4, 1), torch.from_numpy(targets)).item() == pytest.approx(np.log(2))


def test_cross_entropy_of_indices_equals_that_of_their_shares():
    task = make(classification, label_smoothing=0.1)
    logits, targets = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    torch.testing.assert_close(task.loss(logits, targets), task.loss(logits, task.soft(targets)))


def test_smoothing_moves_the_minimum_to_the_smoothed_target():
    task = make(classification, criterion="bce", label_smoothing=0.3)
    wanted = torch.tensor([[0.8, 0.1, 0.1]])
    at_target = torch.logit(wanted).requires_grad_()
    task.loss(at_target, torch.tensor([0])).backward()
    assert at_target.grad.abs().max() < 1e-6


def test_tagging_loss_is_the_mean_over_clips_and_classes():
    task = make(tagging)
    logits, targets = torch.randn(5, 3), torch.randint(0, 2, (5, 3)).float()
    p = torch.sigmoid(logits)
    expected = -(targets * p.log() + (1 - targets) * (1 - p).log()).mean()
    torch.testing.assert_close(task.loss(logits, targets), expected)


def test_scores_of_classification_sum_to_one():
    scores = make(classification).scores(torch.randn(4, 3).bfloat16())
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores.sum(-1), torch.ones(4))


def test_decisions():
    scores = np.array([[0.6, 0.7, 0.1], [0.1, 0.2, 0.3]])
    assert make(classification).decide(scores) == ["bravo", "charlie"]
    assert make(tagging).decide(scores) == ["alfa,bravo", "-"]


def test_trivial_scores():
    task = make(classification)
    found = task.trivial(np.array([1, 1, 0]), np.array([1, 1, 1, 2]))
    assert found == {"chance": pytest.approx(1 / 3), "majority": 0.75}
    tags = make(tagging)
    targets = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 0]], dtype=np.float32)
    assert tags.trivial(targets, targets)["chance"] == pytest.approx((0.75 + 0.5) / 2)


def test_tagging_counts_classes_without_positives():
    targets = np.array([[1, 0, 0], [0, 1, 0]], dtype=np.float32)
    found = make(tagging).measure(np.eye(2, 3), targets)
    assert (found["mAP"], found["classes_scored"], found["classes_without_positives"]) == (1.0, 2, 1)


def test_perfect_logits_reach_the_best_primary_metric():
    task = make(classification)
    targets = task.targets(["alfa", "charlie", "bravo"])
    logits = 5 * F.one_hot(torch.from_numpy(targets), 3).float()
    assert task.measure(task.scores(logits).numpy(), targets)[task.metrics[0].name] == 1.0


def test_settings_are_flat_options():
    assert to_dict(classification.Settings()) == {"criterion": "ce", "label_smoothing": 0.0}
