"""What a pretraining will cost is measured on noise, beforehand."""

from __future__ import annotations

import pytest
import torch

from asit.config import from_dict
from asit.runs.cost import seconds_per_update
from asit.runs.pretrain import PretrainSettings
from asit.train.run_log import Progress

SMALL = {"embed_dim": 24, "depth": 1, "heads": 3, "patch": (8, 8), "head_hidden": 32}
SMALL |= {"prototypes": (20,), "global_frames": 32, "batch_size": 2, "threads": 1, "ngpu": 0}


@pytest.mark.parametrize("more", [{}, {"local_crops": 2, "local_frames": 16}, {"accum": 3}])
def test_measures_an_update_with_and_without_local_crops(more) -> None:
    threads = torch.get_num_threads()
    try:
        assert 0 < seconds_per_update(from_dict(PretrainSettings, {**SMALL, **more}), mels=16) < 60
    finally:
        torch.set_num_threads(threads)


def test_a_run_says_once_what_it_will_cost() -> None:
    progress = Progress(100, 4000)
    told = [progress.cost(step) for step in range(101, 130)]
    assert [text for text in told if text] == [told[3]]
    assert "for 3896 updates" in told[3]
    assert "--steps 1298" in told[3]
    short = Progress(0, 4)
    assert [short.cost(step) for step in (1, 2, 3, 4)] == [""] * 4
