"""The training loop: one optimiser update after another, from any step on, on one process or many.

``Loop(...).run()`` is used by pretraining and fine-tuning alike. It owns the optimiser, the schedules of learning
rate and weight decay, autocast, accumulation, clipping, the guard against non-finite numbers, logging, checkpoints,
resuming and stopping on a signal. What is learned is the :class:`asit.train.learner.Learner`'s business.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from asit.data.loader import Batches
from asit.errors import AsitError, excerpt
from asit.layers.block import checkpoint_blocks
from asit.seeding import derive
from asit.train import distributed
from asit.train.checkpoint import CheckpointDir
from asit.train.clipping import clip_gradients
from asit.train.compiling import compile_blocks
from asit.train.distributed import Place
from asit.train.guard import BAD_STEPS, Guard
from asit.train.learner import Batch, Learner, Stateful
from asit.train.optimizer import Optimizer
from asit.train.param_groups import param_groups
from asit.train.precision import use_bf16
from asit.train.run_dir import differences
from asit.train.run_log import MetricLog, Progress, line
from asit.train.settings import TrainSettings
from asit.train.signals import PREEMPTED, StopRequest, StopWhileWaitingError

log = logging.getLogger(__name__)
EpochEnd = Callable[[int, int], Mapping[str, float]]


class Loop:
    """One run in ``out_dir``.

    ``learner``: on any device; moved to ``place.device``. ``batches``: the data and its plan. ``groups``: parameter
    groups (default: :func:`asit.train.param_groups.param_groups` of the trained module). ``identity``: what must be
    the same when the run is resumed (settings, data), flat and of plain values. ``extras``: further state for the
    checkpoint (see :class:`asit.train.learner.Stateful`), same on all ranks. ``epoch_end(epoch, step)``: called on
    all ranks after the last update of epoch ``epoch``; what it returns is logged under ``valid``. It runs before the
    checkpoint of that step, so an interrupted validation is done again.
    """

    def __init__(
        self,
        learner: Learner,
        batches: Batches,
        settings: TrainSettings,
        out_dir: Path,
        *,
        place: Place,
        groups: Sequence[dict[str, Any]] | None = None,
        identity: Mapping[str, Any] | None = None,
        extras: Mapping[str, Stateful] | None = None,
        epoch_end: EpochEnd | None = None,
    ) -> None:
        self.learner, self.batches, self.settings, self.out_dir = learner, batches, settings, Path(out_dir)
        self.place, self.extras, self.epoch_end = place, dict(extras or {}), epoch_end
        self.identity = dict(identity or {})
        self.steps_per_epoch = batches.plan.steps_per_epoch
        self.total = settings.total_steps(self.steps_per_epoch)
        self.module: nn.Module = learner.to(place.device).train()  # type: ignore[attr-defined]
        if settings.checkpoint_blocks:
            checkpoint_blocks(self.module)
        if settings.compile:
            compile_blocks(self.module)
        lr = settings.lr_of_step(self.steps_per_epoch, batches.plan.global_batch)
        decay = settings.weight_decay_of_step(self.steps_per_epoch)
        self.optimizer = Optimizer(groups or param_groups(learner.trained_module()), settings, lr, decay)
        self.bf16 = use_bf16(settings.precision, place.device)
        self.generator = torch.Generator(device=place.device)
        self.checkpoints = CheckpointDir(self.out_dir / "checkpoints")
        # A run of bad steps only has learned nothing.
        self.guard = Guard(self.module, min(BAD_STEPS, self.total - 1))
        self.step = 0
        self._names: list[str] = []  # of the logged losses, the same at every step
        self._sums: Tensor | None = None  # of the losses since the last log line, and the number of good steps
        self._warned: dict[str, int] = {}
        self._sync: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext

    def run(self) -> None:
        """Train up to the last step, resuming from the newest usable checkpoint.

        Raises:
            AsitError: the run cannot be resumed with these settings; too many non-finite steps.
            SystemExit: code 85 after a stop signal, with everything saved.
        """
        self.resume()
        if self.step >= self.total:
            log.info("step %d/%d: nothing left to train", self.step, self.total)
            return
        self._wrap()
        first = self.step
        logs = MetricLog(self.out_dir, first, self.place.main, self.settings.tensorboard)
        progress = Progress(first, self.total)
        stream = self.batches.run(first, self.total)
        saved_at = time.monotonic()
        minutes, every = (*self.settings.save, 0)[:2]
        try:
            with StopRequest() as stop:
                while self.step < self.total:
                    batch = None
                    # The exception must be gone before the process ends: its traceback holds the loading processes.
                    with contextlib.suppress(StopWhileWaitingError):
                        batch = self._update(stream, progress, stop)
                    if batch is None:
                        self.save()
                        self._leave(stop)
                    if told := progress.cost(self.step):
                        log.info("%s", told)
                    self._report(batch, logs, progress)
                    late = 0 < minutes * 60 < time.monotonic() - saved_at
                    due = every > 0 and self.step % every == 0
                    stopped, save = distributed.any_rank(bool(stop.received), late and self.place.main)
                    if stopped or save or due or self.step == self.total:
                        self.save()
                        saved_at = time.monotonic()
                    if stopped and self.step < self.total:
                        self._leave(stop)
        finally:
            stream.close()
            logs.close()

    def _leave(self, stop: StopRequest) -> NoReturn:
        log.info("stopped by %s after step %d; run again to continue", stop.received or "request", self.step)
        raise SystemExit(PREEMPTED)

    def _update(self, stream: Iterator[Batch], progress: Progress, stop: StopRequest) -> Batch:
        """One optimiser update; returns its last micro-batch."""
        step, accum, device = self.step, self.settings.accum, self.place.device
        self.optimizer.zero_grad()
        self.guard.remember()
        total: Tensor | float = 0.0
        utts: list[str] = []
        for micro in range(accum):
            began = time.perf_counter()
            with stop.waiting(interruptible=self.place.size == 1):
                batch = _to(next(stream), device)
            progress.waited(time.perf_counter() - began)
            torch.manual_seed(derive(self.settings.seed, "torch", step, micro, self.place.rank))
            self.generator.manual_seed(derive(self.settings.seed, "learner", step, micro, self.place.rank))
            last = micro == accum - 1
            with contextlib.nullcontext() if last else self._sync():
                with torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
                    losses = self.learner.losses(batch, step, self.generator)
                (losses["loss"] / accum).backward()
            values = torch.stack([value.detach().float() for value in losses.values()]) / accum
            total = total + values
            utts += batch.get("utts", [])
        norms = clip_gradients(self.optimizer.gradients(), *self.settings.clip_grad)
        bad = self.guard.judge(step, dict(zip(losses, total, strict=True)), norms, utts)
        if device.type == "cpu":  # where looking costs nothing; the optimiser skips a bad step either way
            self.guard.settle()
        self.learner.before_update(step)
        self.optimizer.update(step, bad)
        self.learner.after_update(step, bad)
        self._names = [*losses, "grad_norm"]
        row = torch.where(bad > 0, 0.0, torch.cat([total, norms.mean().view(1), torch.ones_like(total[:1])]))
        self._sums = row if self._sums is None else self._sums + row
        self.step = step + 1
        return batch

    def _report(self, batch: Batch, logs: MetricLog, progress: Progress) -> None:
        """Log line, epoch end and pictures, where due."""
        step, settings = self.step, self.settings
        if step % settings.log_every == 0 or step == self.total:
            self.guard.settle()
            sums = distributed.average_(self._sums).tolist()
            values = {name: s / sums[-1] if sums[-1] else math.nan for name, s in zip(self._names, sums, strict=False)}
            speed = progress.report(step, self.batches.plan.global_batch)
            rates = {"lr": self.optimizer.lr[step - 1], "weight_decay": self.optimizer.weight_decay[step - 1]}
            logs.scalars(step, {**values, **rates, **speed})
            log.info(
                "%s", line(step, self.total, (step - 1) // self.steps_per_epoch, {**values, "lr": rates["lr"]}, speed)
            )
            self._warn(values)
            self._sums = None
        if self.epoch_end and (step % self.steps_per_epoch == 0 or step == self.total):
            found = dict(self.epoch_end((step - 1) // self.steps_per_epoch, step))
            self.module.train()
            if found:
                logs.scalars(step, found, "valid")
        if step == self.total:
            logs.pictures(step, self.learner.pictures(batch, step))

    def _warn(self, values: dict[str, float]) -> None:
        """Print what the learner finds worrying in its own numbers, each kind of message at most three times."""
        find = getattr(self.learner, "warnings", None)
        for message in find(values, self.step) if find else []:
            kind = "".join(c for c in message if not c.isdigit())
            self._warned[kind] = self._warned.get(kind, 0) + 1
            if self._warned[kind] <= 3:
                log.warning("%s", message)

    def _wrap(self) -> None:
        if self.place.size == 1:
            return
        ids = [self.place.device.index] if self.place.device.type == "cuda" else None
        parallel = nn.parallel.DistributedDataParallel(
            self.learner.trained_module(), device_ids=ids, broadcast_buffers=False
        )
        self.learner.wrap(parallel)
        self._sync = parallel.no_sync

    def save(self) -> None:
        """Write a checkpoint of the current step (main rank; the others wait)."""
        self.guard.settle()
        if self.place.main:
            self.checkpoints.save(
                self.step,
                {
                    "step": self.step,
                    "learner": self.learner.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "sums": self._sums,
                    "bad_steps": self.guard.count,
                    "identity": self.identity,
                    "extras": {name: extra.state_dict() for name, extra in self.extras.items()},
                },
            )
            log.info("saved %s", self.checkpoints.file(self.step))
        distributed.barrier()

    def resume(self) -> None:
        """Take up the newest usable checkpoint, if there is one.

        Raises:
            AsitError: it belongs to a run with other settings or data; the message names what differs.
        """
        if self.place.main:
            self.checkpoints.sweep()
        distributed.barrier()
        found = self.checkpoints.load_newest()
        distributed.same_everywhere(str(found[0]) if found else "none", "the checkpoint to resume from")
        if found is None:
            return
        step, state = found
        if different := differences(state["identity"], self.identity):
            raise AsitError(f"{self.checkpoints.file(step)}: begun with other settings or data: {different}")
        try:
            self.learner.load_state_dict(state["learner"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise AsitError(
                f"{self.checkpoints.file(step)}: made by another model: {excerpt(error, 200)}; give another "
                "--out-dir, or rename this one to start over"
            ) from None
        for name, extra in self.extras.items():
            extra.load_state_dict(state["extras"][name])
        self._sums = None if state["sums"] is None else state["sums"].to(self.place.device)
        self.guard.count, self.step = state["bad_steps"], state["step"]
        log.info("resuming after step %d/%d", self.step, self.total)


def _to(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    return {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}
