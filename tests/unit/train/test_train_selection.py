from __future__ import annotations

import math

import torch
from torch import nn

from asit.metrics.metric import Metric
from asit.train.selection import BestWeights

ACCURACY = Metric("accuracy", "%", "higher")


def module(value):
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, value)
    return layer


def test_the_best_is_kept_and_of_ties_the_earlier():
    best = BestWeights(ACCURACY)
    taken = [best.offer(step, value, module(step)) for step, value in ((1, 0.5), (2, 0.7), (3, 0.7), (4, 0.6))]
    assert taken == [True, True, False, False]
    assert (best.step, best.value, best.weights["weight"].item()) == (2, 0.7, 2.0)


def test_nan_is_never_the_best():
    best = BestWeights(ACCURACY)
    assert not best.offer(1, math.nan, module(1))
    assert best.offer(2, 0.0, module(2))


def test_smaller_is_better_for_error_rates():
    best = BestWeights(Metric("error", "dB", "lower"))
    for step, value in ((1, 0.5), (2, 0.2), (3, 0.4)):
        best.offer(step, value, module(step))
    assert best.step == 2


def test_kept_weights_do_not_follow_the_training_and_survive_a_checkpoint():
    best, layer = BestWeights(ACCURACY), module(1.0)
    best.offer(1, 0.5, layer)
    nn.init.constant_(layer.weight, 9.0)
    again = BestWeights(ACCURACY)
    again.load_state_dict(best.state_dict())
    assert torch.equal(again.weights["weight"], torch.ones(1, 1))
