"""One training run, from an empty or interrupted folder to a finished one; what all commands that train share."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from asit.config import to_dict
from asit.data.clips import Clips
from asit.data.crops import Crops
from asit.data.loader import Batches
from asit.data.sampler import BatchPlan
from asit.data.utterances import Utterances
from asit.io.atomic import sweep, write_text
from asit.train import distributed, processes, run_dir, signals
from asit.train.checkpoint import DirLock
from asit.train.distributed import Place
from asit.train.learner import Learner
from asit.train.loop import Loop
from asit.train.run_log import start_log

log = logging.getLogger(__name__)


@contextlib.contextmanager
def opened(settings: Any) -> Iterator[Run]:
    """The run of a command's settings (``out_dir``, ``train``): processes, threads, signals, lock, log.

    A stop signal before the first update ends the process at once with code 85: there is nothing to save yet.
    """
    processes.end_with_parent()
    with signals.leave_at_once():
        ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1")))
        threads = processes.use_threads(settings.train.threads, ranks_here)
        place, out_dir = distributed.join(settings.train.gpus), Path(settings.out_dir)
        try:
            with DirLock(out_dir) if place.main else nullcontext():
                start_log(out_dir, place.main)
                for orphan in sweep(out_dir) if place.main else ():
                    log.info("removed %s, left by a run that was killed", orphan)
                log.info("%s", shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]]))
                log.info("%d process(es) on %s, %d CPU thread(s) each", place.size, place.device, threads)
                yield Run(settings, place)
        finally:
            distributed.leave()


class Run:
    """A run in its folder, in the order of its methods.

    Attributes:
        place: this process among those of the run. plan: which clips when, of this rank. steps: updates of the run.
    """

    def __init__(self, settings: Any, place: Place) -> None:
        self.settings, self.place = settings, place
        self.out_dir, self._began = Path(settings.out_dir), time.monotonic()

    def draw(self, clips: int, weights: np.ndarray | None, lengths: np.ndarray | None = None) -> None:
        """Plan the updates over so many clips; ``weights`` (clips,) draws them with replacement, ``lengths`` (clips,)
        puts those of similar length together."""
        train = self.settings.train
        self.plan = BatchPlan.fitting(
            clips,
            batch_size=train.batch_size,
            seed=train.seed,
            accum=train.accum,
            world=self.place.size,
            rank=self.place.rank,
            weights=weights,
            epoch_samples=train.epoch_samples,
            last_batch=train.last_batch,
            lengths=lengths,
        )
        self.steps = train.total_steps(self.plan.steps_per_epoch)

    def is_finished(self, product: str, made: Mapping[str, Any] | None = None, **facts: Any) -> bool:
        """Whether the folder holds the finished run with the file ``product``; or make sure that it holds this or none.

        Args:
            made: facts of :meth:`finish` that say how the product was made. facts: digests of what the run learns from.

        Raises:
            AsitError: the folder holds another run.
        """
        self.product = self.out_dir / product
        self.identity = run_dir.identity(self.settings, **facts, global_batch=self.plan.global_batch)
        done = run_dir.claim(self.out_dir, self.identity, self.place, self.settings.train.restart_changed)
        finished = done is not None and (made or {}).items() <= done.items() and self.product.is_file()
        if finished:
            log.info("%s: finished already", self.out_dir)
        return finished

    def train(
        self,
        learner: Learner,
        dataset: Crops | Clips | Utterances,
        collate: Callable[[Sequence[dict[str, Any]]], dict[str, Any]],
        **options: Any,
    ) -> None:
        """Write ``config.yaml``, load batches and run the :class:`asit.train.loop.Loop`, which takes ``options``."""
        train, plan = self.settings.train, self.plan
        log.info("%d updates, %d an epoch, %d clips each", self.steps, plan.steps_per_epoch, plan.global_batch)
        if self.place.main:
            write_text(self.out_dir / "config.yaml", yaml.safe_dump(to_dict(self.settings), sort_keys=False))
        pin = self.place.device.type == "cuda"
        batches = Batches(dataset, plan, collate, num_workers=train.num_workers, pin=pin)
        Loop(learner, batches, train, self.out_dir, place=self.place, identity=self.identity, **options).run()

    def finish(self, **facts: Any) -> None:
        """Write ``done.json``, once the product is there."""
        seconds = time.monotonic() - self._began
        run_dir.finish(self.out_dir, self.identity, steps=self.steps, seconds=seconds, **facts)
        log.info("finished in %.0f s: %s", seconds, self.product)
