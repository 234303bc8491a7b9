"""A run of the small learner as its own process: ``python small_run.py --out-dir D --steps N --sleep 0.01 ...``.

With ``--ngpu 0 2`` it starts itself twice, as asit-pretrain does.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from small_learner import SmallLearner, small_batches

from asit.config import Options, group, option, parse
from asit.errors import command
from asit.train import distributed, guard, loop, processes, run_dir
from asit.train.checkpoint import DirLock
from asit.train.run_log import start_log
from asit.train.settings import TrainSettings


@dataclass(frozen=True)
class RunSettings(Options):
    """A small run."""

    out_dir: str = option("out", "where to write", free=True)
    sleep: float = option(0.0, "seconds to sleep each step", free=True)
    clips: int = option(50, "size of the data set")
    bad: tuple[int, ...] = option((), "clips that are NaN")
    bad_steps: int = option(guard.BAD_STEPS, "updates with one that are skipped", free=True)
    noise: float = option(0.3, "dropout and masking")
    center_momentum: float = option(0.9, "1: the centre stays at 0")
    train: TrainSettings = group(TrainSettings)


class SlowLearner(SmallLearner):
    sleep = 0.0

    def after_update(self, step, bad):
        super().after_update(step, bad)
        time.sleep(self.sleep)


@command
def main() -> None:
    settings = parse(RunSettings)
    train = settings.train
    ranks = processes.wanted(train.processes)
    if ranks > 1:
        processes.launch(ranks, "small_run", sys.argv[1:])
    processes.end_with_parent()
    processes.use_threads(1, 1)
    place = distributed.join(0)
    try:
        with DirLock(settings.out_dir if place.main else f"{settings.out_dir}/rank{place.rank}"):
            start_log(Path(settings.out_dir), place.main)
            learner = SlowLearner(noise=settings.noise, center_momentum=settings.center_momentum)
            learner.sleep = settings.sleep
            batches = small_batches(
                settings.clips,
                settings.bad,
                train.num_workers,
                batch_size=train.batch_size,
                accum=train.accum,
                world=place.size,
                rank=place.rank,
                last_batch=train.last_batch,
            )
            who = run_dir.identity(settings, global_batch=batches.plan.global_batch)
            run_dir.claim(Path(settings.out_dir), who, place, train.restart_changed)
            loop.BAD_STEPS = settings.bad_steps
            loop.Loop(learner, batches, train, Path(settings.out_dir), place=place, identity=who).run()
    finally:
        distributed.leave()


if __name__ == "__main__":
    sys.exit(main())
