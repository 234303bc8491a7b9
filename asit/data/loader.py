"""Batches of a run, from any step on, made in the training process or in worker processes."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import shutil
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from asit.data.clips import Clips
from asit.data.crops import Crops
from asit.data.sampler import BatchPlan, Key
from asit.data.utterances import Utterances
from asit.errors import AsitError, excerpt

log = logging.getLogger(__name__)
SHARED = Path("/dev/shm")
Worker = weakref.ref[multiprocessing.process.BaseProcess]
ENOUGH = 2**31  # bytes of shared memory with which nobody need count


class Batches(Dataset):
    """Clips, their collate function and the plan of who gets what when."""

    def __init__(
        self,
        dataset: Crops | Clips | Utterances,
        plan: BatchPlan,
        collate: Callable[[Sequence[dict[str, Any]]], dict[str, Any]],
        *,
        num_workers: int = 0,
        prefetch: int = 4,
        pin: bool = False,
    ) -> None:
        self.dataset, self.plan, self.collate = dataset, plan, collate
        self.num_workers, self.prefetch, self.pin = num_workers, prefetch, pin

    def run(self, first_step: int, last_step: int) -> Iterator[dict[str, Any]]:
        """This rank's micro-batches of the steps [first_step, last_step): one iterator, so that loading goes on
        across the ends of epochs. The workers live as long as the iterator."""
        number, prefetch = self._fitting(first_step, last_step)
        if number == 0:  # no DataLoader: an exception keeps its type and its message
            for keys in self.plan.micro_batches(first_step, last_step):
                batch = self._read(keys)
                yield _pinned(batch) if self.pin else batch
            return
        loader: DataLoader = DataLoader(
            self,
            batch_size=None,  # an item is a batch
            sampler=self.plan.micro_batches(first_step, last_step),
            collate_fn=lambda batch: batch,
            num_workers=number,
            prefetch_factor=prefetch,
            pin_memory=self.pin,
            # Forked workers are children of this process and notice its death; a fork server's would live on.
            multiprocessing_context="fork",
            worker_init_fn=_set_signals,
            generator=torch.Generator(),  # keeps torch's default generator untouched
        )
        iterator, workers = _started(loader)
        death = ""
        try:
            for batch in iterator:
                if isinstance(batch, AsitError):
                    raise batch
                yield batch
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            death = excerpt(error, 300)
        except (ConnectionError, EOFError) as error:  # it died while it handed over a batch's shared memory
            if "in DataLoader worker" in str(error):  # of the data set: torch raises it again here
                raise
            death = f"its last batch is lost ({excerpt(error, 300) or type(error).__name__})"
        finally:
            del iterator  # which ends the workers, unless a traceback holds it
            for worker in workers:
                _kill(worker)
        if death:
            raise AsitError(
                f"a process that loads data died: {death}; memory ran out, or somebody ended it: give fewer "
                "--num-workers or the job more memory, and run again: training continues from its last checkpoint"
            )

    def __getitem__(self, keys: Sequence[Key]) -> dict[str, Any] | AsitError:
        """A batch in a worker. A user's error is returned: the DataLoader would bury its one line in a traceback."""
        try:
            return self._read(keys)
        except AsitError as error:
            return error

    def _read(self, keys: Sequence[Key]) -> dict[str, Any]:
        return self.collate([self.dataset[key] for key in keys])

    def _fitting(self, first_step: int, last_step: int) -> tuple[int, int]:
        """Loading processes, and batches that each keeps ready, for which there is shared memory.

        Batches come through /dev/shm, of which a container may have little (Docker: 64 MB). One that finds no room
        there would never come, and the run would wait for it without end.
        """
        wanted = self.num_workers, self.prefetch
        ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        free = shutil.disk_usage(SHARED).free // ranks_here if self.num_workers and SHARED.is_dir() else ENOUGH
        if free >= ENOUGH:
            return wanted
        batch = self._read(next(self.plan.micro_batches(first_step, last_step)))
        size = sum(value.nbytes for value in batch.values() if isinstance(value, torch.Tensor)) or 1
        room = int(0.8 * free / size) - 1  # batches at a time, one of them in use
        workers = min(self.num_workers, max(0, room))
        found = workers, min(self.prefetch, room // workers) if workers else self.prefetch
        if found != wanted:
            log.warning(
                "%s has only %.0f MB free and a batch takes %.1f MB: %s. Give it more (docker run --shm-size), or say "
                "--num-workers yourself",
                *(SHARED, free / 1e6, size / 1e6),
                f"{found[0]} loading process(es) that keep {found[1]} ready"
                if workers
                else "clips are read in the training process",
            )
        return found


def _started(loader: DataLoader) -> tuple[Iterator[Any], list[Worker]]:
    """An iterator that notices the death of a worker while it waits for a batch (every 5 s), only there; its workers.

    torch's handler of SIGCHLD would raise wherever this process is: also where the workers start or end, and they would
    go on. What remains of them at the end of the process is killed, as they ignore SIGTERM.
    """
    before = set(multiprocessing.active_children())
    handler = signal.getsignal(signal.SIGCHLD)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        iterator = iter(loader)
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        workers = [weakref.ref(worker) for worker in set(multiprocessing.active_children()) - before]
        for worker in workers:
            atexit.register(_kill, worker)
    return iterator, workers


def _kill(worker: Worker) -> None:
    if (process := worker()) is not None and process.is_alive():
        process.kill()
        process.join()


def _set_signals(_: int) -> None:
    """In a worker: a scheduler signals all processes of a job, and the training process still needs its batches to
    finish its step. Workers end when it tells them to, or when it is gone."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})  # see _started


def _pinned(batch: dict[str, Any]) -> dict[str, Any]:
    return {k: v.pin_memory() if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
