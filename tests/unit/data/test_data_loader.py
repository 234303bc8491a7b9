"""Batches come through shared memory, of which a container may have little."""

from __future__ import annotations

import logging
import shutil
from types import SimpleNamespace

import pytest
import torch

from asit.data import loader
from asit.data.loader import Batches
from asit.data.sampler import BatchPlan


class Clips:
    def __getitem__(self, key):
        return torch.full((1000,), float(key[0]))


def batches(workers: int, prefetch: int) -> Batches:
    plan = BatchPlan(40, batch_size=10, seed=0)
    return Batches(Clips(), plan, lambda items: {"x": torch.stack(items)}, num_workers=workers, prefetch=prefetch)


@pytest.mark.parametrize(
    ("free", "wanted", "found", "told"),
    [
        (2**33, (2, 4), (2, 4), ""),
        (40_000 * 20, (2, 4), (2, 4), ""),  # a batch is 40,000 bytes
        (40_000 * 7, (2, 4), (2, 2), "2 loading process(es) that keep 2 ready"),
        (40_000 * 3, (2, 4), (1, 1), "1 loading process(es) that keep 1 ready"),
        (40_000, (2, 4), (0, 4), "clips are read in the training process"),
        (0, (2, 4), (0, 4), "--shm-size"),
        (0, (0, 4), (0, 4), ""),
    ],
)
def test_no_more_batches_are_kept_ready_than_there_is_shared_memory(
    free, wanted, found, told, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(loader.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with caplog.at_level(logging.WARNING):
        assert batches(*wanted)._fitting(0, 4) == found
    assert told in caplog.text
    assert bool(told) == bool(caplog.text)


def test_ranks_of_a_machine_share_it(monkeypatch) -> None:
    monkeypatch.setattr(loader.shutil, "disk_usage", lambda _: SimpleNamespace(free=40_000 * 14))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert batches(2, 4)._fitting(0, 4) == (2, 2)


def test_the_same_batches_whatever_fits(monkeypatch) -> None:
    assert shutil.disk_usage(loader.SHARED).free
    plenty = [batch["x"] for batch in batches(2, 2).run(0, 4)]
    monkeypatch.setattr(loader.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    for one, other in zip(plenty, batches(2, 2).run(0, 4), strict=True):
        assert torch.equal(one, other["x"])
