"""Non-finite numbers: the step is skipped on the device, named in the log, and too many of them end the run."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asit.errors import AsitError
from asit.train.distributed import largest_

log = logging.getLogger(__name__)
BAD_STEPS = 5  # updates with a non-finite loss or gradient that a run skips before it stops


@dataclass
class _Seen:
    step: int
    bad: Tensor
    losses: dict[str, Tensor]
    utts: list[str]


class Guard:
    """Keeps an update with a non-finite loss or gradient from having any effect.

    ``budget`` such updates are skipped per run. The device decides (:meth:`judge`), so that a GPU is not made to
    wait; the host learns of it in :meth:`settle`, every step on the CPU and at log and save steps on a GPU.
    """

    def __init__(self, learner: nn.Module, budget: int, count: int = 0) -> None:
        self.budget, self.count = budget, count
        self._buffers = [b for b in learner.buffers() if b.is_floating_point()]
        self._saved = [b.clone() for b in self._buffers]
        self._seen: list[_Seen] = []

    def remember(self) -> None:
        """Keep a copy of the buffers (centres) as they are before the step."""
        if self._buffers:
            torch._foreach_copy_(self._saved, self._buffers)

    def judge(self, step: int, losses: dict[str, Tensor], norms: Tensor, utts: list[str]) -> Tensor:
        """1.0 on the device if the step must have no effect, else 0.0; restores the buffers if so.

        ``losses`` are this rank's, ``norms`` the gradient norms; all ranks come to the same verdict.
        """
        bad = largest_((~(torch.isfinite(norms).all() & torch.isfinite(losses["loss"]))).float())
        if self._buffers:
            for buffer, saved in zip(self._buffers, self._saved, strict=True):
                torch.where(bad > 0, saved, buffer, out=buffer)
        self._seen.append(_Seen(step, bad, losses, utts))
        return bad

    def settle(self) -> int:
        """Report the bad steps since the last call and return how many there were.

        Raises:
            AsitError: more than the budget. Nothing has been changed by the bad steps.
        """
        seen, self._seen = self._seen, []
        if not seen or not any(flags := torch.stack([s.bad for s in seen]).tolist()):
            return 0
        bad = [s for s, flag in zip(seen, flags, strict=True) if flag]
        for s in bad:
            values = ", ".join(f"{name} {value.item():.6g}" for name, value in s.losses.items())
            log.warning(
                "step %d skipped: non-finite loss or gradient (%s); clips: %s", s.step, values, " ".join(s.utts)
            )
        self.count += len(bad)
        if self.count > self.budget:
            raise AsitError(
                f"step {bad[-1].step}: {self.count} updates had a non-finite loss or gradient "
                f"({self.budget} are skipped); clips of the last one: {' '.join(bad[-1].utts)}. Look at these clips, "
                "lower --lr, or use --precision fp32; the last good checkpoint is kept"
            )
        return len(bad)
