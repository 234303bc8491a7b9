from __future__ import annotations

import os
import signal

import pytest
import torch

from asit.data.loader import Batches, lost_workers_told
from asit.data.sampler import BatchPlan
from asit.errors import AsitError


class Numbers:
    """Ends its process by itself, as when memory ran out, at the clip with number `deadly`."""

    def __init__(self, deadly: int) -> None:
        self.deadly = deadly

    def __len__(self) -> int:
        return 8

    def __getitem__(self, key):
        if key[1] == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"x": torch.tensor(float(key[0]))}


def collate(items):
    return {"x": torch.stack([item["x"] for item in items])}


@pytest.mark.parametrize("deadly", [0, 9])
def test_the_death_of_a_worker_is_told_in_one_line(deadly):
    batches = Batches(Numbers(deadly), BatchPlan.fitting(8, batch_size=4, seed=1), collate, num_workers=2)
    with pytest.raises(AsitError, match=r"data died.*--num-workers.*run again") as caught, lost_workers_told():
        for _ in batches.run(0, 6):
            pass
    assert "\n" not in str(caught.value)


def test_other_errors_keep_their_type():
    with pytest.raises(RuntimeError, match="shapes"), lost_workers_told():
        raise RuntimeError("shapes differ")
