from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from asit.errors import AsitError
from asit.schedules import Cosine, EpochRamp, StepDecay
from asit.train.settings import TrainSettings

GOLDEN = Path(__file__).parents[2] / "golden/schedules.npz"


def values(schedule, count):
    return np.array([schedule[i] for i in range(count)])


def test_published_schedules():
    with np.load(GOLDEN) as golden:
        config = json.loads(str(golden["config"]))
        steps = config["epochs"] * config["niter"]
        warmup = config["warmup_epochs"] / config["epochs"]
        settings = TrainSettings(epochs=config["epochs"], lr=config["base_lr"], warmup=warmup)
        lr = settings.lr_of_step(config["niter"], global_batch=128)
        np.testing.assert_allclose(values(lr, steps), golden["lr"], rtol=1e-12, atol=1e-18)
        np.testing.assert_allclose(
            values(settings.weight_decay_of_step(config["niter"]), steps), golden["wd"], rtol=1e-12
        )
        np.testing.assert_allclose(values(Cosine(0.996, 1.0, steps), steps), golden["momentum"], rtol=1e-12)


def test_learning_rate_scales_with_the_global_batch():
    assert TrainSettings().peak_lr(128) == pytest.approx(2.5e-4)
    assert TrainSettings(lr=5e-4).peak_lr(128) == 5e-4


def test_steps_win_over_epochs():
    assert TrainSettings(epochs=3).total_steps(10) == 30
    assert TrainSettings(epochs=3, steps=7).total_steps(10) == 7


def test_audioset_step_decay_of_ast():
    settings = TrainSettings(
        epochs=25,
        lr=5e-5,
        lr_factor=(0.5, 10, 5),
        warmup=11,
    )
    lr = settings.lr_of_step(10, 12)
    assert [lr[s] for s in (0, 5, 10, 99, 100, 149, 150, 249)] == pytest.approx(
        [0, 2.5e-5, 5e-5, 5e-5, 2.5e-5, 2.5e-5, 1.25e-5, 6.25e-6]
    )


def test_a_factor_of_one_is_a_constant_rate_after_the_warm_up():
    lr = TrainSettings(steps=8, lr=0.5, lr_factor=(1,), warmup=3).lr_of_step(2, 12)
    assert [lr[s] for s in range(8)] == [0, 0.25, *[0.5] * 6]


def test_schedules_end_where_they_should():
    assert Cosine(1.0, 0.1, 10)[10] == Cosine(1.0, 0.1, 10)[10**9] == 0.1
    assert StepDecay(1.0, 0.5, 0, 1, 10)[0] == 0.5
    assert EpochRamp(0.04, 0.07, 0, 10)[0] == 0.07
    assert EpochRamp(0.04, 0.07, 1, 10)[0] == 0.04


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "'batch_size': expected at least 1"),
        ({"steps": 0}, "'steps': expected at least 1"),
        ({"lr": (1e-3, 0)}, "'lr': expected at least 1 as the last number, found 0"),
        ({"lr_factor": (0.5, 2, 0.5)}, "'lr_factor': expected at least 1 as the last number, found 0.5"),
        ({"lr_factor": (0.5, 2.5, 1)}, "'lr_factor': expected whole numbers after the first, found 2.5"),
        ({"save": (0, 1.5)}, "'save': expected whole numbers after the first, found 1.5"),
        ({"betas": (0.9,)}, "'betas': expected 2 values, found 1"),
    ],
)
def test_impossible_settings_are_named(options, message):
    with pytest.raises(AsitError, match=message):
        TrainSettings(**options)


def test_warm_up_longer_than_the_run_is_refused():
    with pytest.raises(AsitError, match="warm-up of 100 updates in a run of 50"):
        TrainSettings(steps=50, warmup=100).lr_of_step(10, 32)
