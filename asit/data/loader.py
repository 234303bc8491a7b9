"""Batches of a run, from any step on, made in the training process or in worker processes."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from asit.data.sampler import BatchPlan, Key
from asit.errors import AsitError, excerpt


class KeyedDataset(Protocol):
    """A data set whose items are asked for by (index of the clip, number of the sample in the run)."""

    def __getitem__(self, key: Key) -> dict[str, Any]: ...


class Batches:
    """A data set, its collate function and the plan of who gets what when."""

    def __init__(
        self,
        dataset: KeyedDataset,
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
        if self.num_workers == 0:  # no DataLoader: an exception keeps its type and its message
            for keys in self.plan.micro_batches(first_step, last_step):
                batch = self.collate([self.dataset[key] for key in keys])
                yield _pinned(batch) if self.pin else batch
            return
        loader: DataLoader = DataLoader(
            _AsDataset(self.dataset),
            batch_sampler=_Keys(self.plan, first_step, last_step),
            collate_fn=_Collate(self.collate),
            num_workers=self.num_workers,
            prefetch_factor=self.prefetch,
            pin_memory=self.pin,
            # Forked workers are children of this process and notice its death; a fork server's would live on.
            multiprocessing_context="fork",
            worker_init_fn=_ignore_stop_signals,
            generator=torch.Generator(),  # keeps torch's default generator untouched
        )
        for batch in loader:
            if isinstance(batch, _Fault):
                raise AsitError(batch.message)
            yield batch


@contextlib.contextmanager
def lost_workers_told() -> Iterator[None]:
    """Around the work with batches: the death of a worker becomes an AsitError.

    Not only around ``next(batches)``: torch raises from its handler of SIGCHLD, wherever this process is then.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise AsitError(
            f"a process that loads data died: {excerpt(error, 300)}; memory ran out, or somebody ended it: give fewer "
            "--num-workers or the job more memory, and run again: training continues from its last checkpoint"
        ) from None


class _Fault:
    """A user's error on its way out of a worker; the DataLoader would bury its one line in a traceback."""

    def __init__(self, message: str) -> None:
        self.message = message


class _AsDataset(Dataset):
    def __init__(self, inner: KeyedDataset) -> None:
        self.inner = inner

    def __getitem__(self, key: Key) -> dict[str, Any] | _Fault:
        try:
            return self.inner[key]
        except AsitError as error:
            return _Fault(str(error))


class _Collate:
    def __init__(self, inner: Callable[[Sequence[dict[str, Any]]], dict[str, Any]]) -> None:
        self.inner = inner

    def __call__(self, items: Sequence[Any]) -> dict[str, Any] | _Fault:
        faults = [item for item in items if isinstance(item, _Fault)]
        return faults[0] if faults else self.inner(items)


class _Keys(Sampler):
    def __init__(self, plan: BatchPlan, first_step: int, last_step: int) -> None:
        self.plan, self.first_step, self.last_step = plan, first_step, last_step

    def __iter__(self) -> Iterator[list[Key]]:
        return self.plan.micro_batches(self.first_step, self.last_step)

    def __len__(self) -> int:
        return (self.last_step - self.first_step) * self.plan.accum


def _ignore_stop_signals(_: int) -> None:
    """In a worker: a scheduler signals all processes of a job, and the training process still needs its batches to
    finish its step. Workers end when it tells them to, or when it is gone."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def _pinned(batch: dict[str, Any]) -> dict[str, Any]:
    return {k: v.pin_memory() if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
