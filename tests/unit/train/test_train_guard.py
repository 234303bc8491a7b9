from __future__ import annotations

import torch
from small_learner import SmallLearner, small_batches

from asit.train.distributed import Place
from asit.train.loop import Loop
from asit.train.settings import TrainSettings


def test_a_skipped_update_leaves_everything_as_it_was(tmp_path):
    """All clips are NaN: student, teacher and centre stay bit-equal."""
    learner = SmallLearner()
    with torch.no_grad():
        learner.student[0].weight.add_(1.0)  # away from the teacher, which a wrong move would then show
    loop = Loop(
        learner,
        small_batches(bad=range(50)),
        TrainSettings(steps=4, warmup=0, num_workers=0, ngpu=0),
        tmp_path,
        place=Place(0, 1, torch.device("cpu")),
    )
    before = {k: v.clone() for k, v in learner.state_dict().items()}
    loop.guard.budget = 100
    loop.run()
    assert loop.guard.count == 4
    for name, value in learner.state_dict().items():
        assert torch.equal(value, before[name]), name
