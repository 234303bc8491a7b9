from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asit.data.loader import Batches
from asit.data.sampler import BatchPlan
from asit.errors import AsitError


def epoch_clips(plans, epoch=0):
    steps = plans[0].steps_per_epoch
    return [k for p in plans for keys in p.micro_batches(epoch * steps, (epoch + 1) * steps) for k in keys]


@settings(deadline=None)
@given(
    clips=st.integers(8, 60),
    batch=st.integers(1, 4),
    world=st.integers(1, 3),
    accum=st.integers(1, 2),
    seed=st.integers(0, 9),
)
def test_an_epoch_has_every_clip_at_most_once(clips, batch, world, accum, seed):
    if batch * world * accum > clips:
        return
    plans = [BatchPlan(clips, batch, seed, accum, world, rank) for rank in range(world)]
    for epoch in (0, 3):
        found = epoch_clips(plans, epoch)
        assert len(found) == len({c for c, _ in found}) == plans[0].steps_per_epoch * plans[0].global_batch
        assert {n // clips for _, n in found} == {epoch}
        assert len({n for _, n in found}) == len(found)


@settings(deadline=None)
@given(clips=st.integers(2, 60), batch=st.integers(1, 9), world=st.integers(1, 3), accum=st.integers(1, 2))
def test_keeping_the_last_batch_covers_every_clip_evenly(clips, batch, world, accum):
    plans = [BatchPlan(clips, batch, 0, accum, world, rank, last_batch="keep") for rank in range(world)]
    counts = Counter(c for c, _ in epoch_clips(plans))
    assert set(counts) == set(range(clips))
    assert sum(counts.values()) - clips < world * accum
    sizes = [[len(keys) for keys in p.micro_batches(0, p.steps_per_epoch)] for p in plans]
    assert all(s == sizes[0] for s in sizes)


@pytest.mark.parametrize(("batch", "world", "accum"), [(8, 1, 1), (4, 2, 1), (2, 2, 2), (1, 8, 1), (2, 1, 4)])
def test_the_global_batch_does_not_depend_on_who_computes_it(batch, world, accum):
    whole = list(BatchPlan(50, 8, seed=1).micro_batches(4, 15))
    plans = [BatchPlan(50, batch, 1, accum, world, rank) for rank in range(world)]
    streams = [list(p.micro_batches(4, 15)) for p in plans]
    for step, keys in enumerate(whole):
        mine = [k for micro in range(accum) for s in streams for k in s[step * accum + micro]]
        assert mine == keys


def test_starting_anywhere_equals_going_there():
    plan = BatchPlan(23, 4, seed=7)
    assert list(plan.micro_batches(0, 20))[13:] == list(plan.micro_batches(13, 20))


def test_weights_draw_in_proportion():
    plan = BatchPlan(3, 10, weights=np.array([1.0, 0.0, 3.0]), epoch_samples=40000)
    counts = np.bincount(plan.order(5), minlength=3)
    assert counts[1] == 0
    assert counts[2] / counts[0] == pytest.approx(3, rel=0.05)
    assert not np.array_equal(plan.order(5), plan.order(6))


def test_order_without_shuffling_is_the_tables():
    assert BatchPlan(5, 1, shuffle=False).order(9).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clips": 0}, "no clips"),
        ({"clips": 7}, "a global batch of 8 clips is more than the 7"),
        ({"clips": 9, "epoch_samples": 20}, "--epoch-samples"),
        ({"clips": 9, "weights": np.zeros(9)}, "positive sum"),
    ],
)
def test_impossible_plans_are_refused(options, message):
    with pytest.raises(AsitError, match=message):
        BatchPlan(**{"batch_size": 8, **options})


class Broken:
    def __getitem__(self, key):
        if key[0] == 5:
            raise AsitError("utterance u5: features hold NaN")
        return {"number": key[1]}


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_worker_keeps_its_one_line(workers):
    batches = Batches(Broken(), BatchPlan(8, 2), lambda items: {"n": [i["number"] for i in items]}, num_workers=workers)
    with pytest.raises(AsitError, match=r"^utterance u5: features hold NaN$"):
        list(batches.run(0, 4))


class Numbers:
    def __getitem__(self, key):
        return {"key": key}


def test_workers_change_nothing():
    runs = [
        list(Batches(Numbers(), BatchPlan(30, 4), lambda i: {"keys": [k["key"] for k in i]}, num_workers=w).run(3, 17))
        for w in (0, 2)
    ]
    assert runs[0] == runs[1]


class TestByLength:
    lengths = np.random.default_rng(0).integers(50, 1000, 1003)

    def plan(self, **options) -> BatchPlan:
        return BatchPlan(1003, batch_size=8, seed=1, lengths=self.lengths, **options)

    def test_every_clip_once_an_epoch_in_another_order_each_time(self) -> None:
        plan = self.plan()
        orders = [plan.order(epoch) for epoch in range(2)]
        assert all(sorted(order) == list(range(1003)) for order in orders)
        assert not np.array_equal(*orders)
        assert np.array_equal(orders[1], self.plan().order(1))

    def test_batches_hold_clips_of_similar_length(self) -> None:
        def padding(plan: BatchPlan) -> float:
            batches = [self.lengths[[i for i, _ in plan.step_keys(s)]] for s in range(plan.steps_per_epoch)]
            return sum(len(b) * b.max() for b in batches) / sum(b.sum() for b in batches) - 1

        plain = BatchPlan(1003, batch_size=8, seed=1)
        assert padding(self.plan()) < 0.05
        assert padding(plain) > 0.3

    def test_neighbours_change_between_epochs_and_long_batches_come_at_any_time(self) -> None:
        plan = self.plan()
        pairs = [
            {frozenset(i for i, _ in plan.step_keys(s + e * plan.steps_per_epoch)) for s in range(100)} for e in (0, 1)
        ]
        assert len(pairs[0] & pairs[1]) < 5
        means = [self.lengths[[i for i, _ in plan.step_keys(s)]].mean() for s in range(plan.steps_per_epoch)]
        assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.3

    def test_what_is_left_over_differs_between_epochs_and_is_not_the_longest(self) -> None:
        left = [self.lengths[self.plan().order(epoch)[1000:]].mean() for epoch in range(30)]
        assert len(set(left)) > 20
        assert abs(np.mean(left) - self.lengths.mean()) < 100

    def test_ranks_share_the_batches_of_one_process(self) -> None:
        one = BatchPlan(1003, batch_size=16, seed=1, lengths=self.lengths).step_keys(5)
        ranks = [next(self.plan(world=2, rank=r).micro_batches(5, 6)) for r in (0, 1)]
        assert ranks[0] + ranks[1] == one
