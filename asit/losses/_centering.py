"""Centring and sharpening of the teacher (DINO, section 3.1): what keeps self-distillation from collapse.

K prototypes; logits are (rows, K).
"""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

ENTROPY_ROWS = 1024  # the entropies are estimates for monitoring: a share of the rows is enough


class Centering(nn.Module):
    """A running centre c of the teacher's logits: targets are softmax((t - c) / temperature).

    Args:
        prototypes: K.
        momentum: of the centre's exponential moving average; 0.9 as published.
    """

    center: Tensor

    def __init__(self, prototypes: int, momentum: float = 0.9) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("center", torch.zeros(prototypes))

    @torch.no_grad()
    def targets(self, teacher_logits: Tensor, temperature: float) -> Tensor:
        """(rows, K) -> probabilities (rows, K), float32, without gradient."""
        return F.softmax((teacher_logits.float() - self.center) / temperature, dim=-1)

    def update(self, teacher_logits: Tensor) -> None:
        """Move the centre towards the mean over all rows (rows, K) of all ranks; call it after the loss."""
        self.update_from_sum(teacher_logits.float().sum(dim=0), teacher_logits.shape[0])

    @torch.no_grad()
    def update_from_sum(self, total: Tensor, rows: int) -> None:
        """As :meth:`update`, from this rank's sum over its rows, (K,) float32; changes ``total``."""
        count = torch.tensor(float(rows), device=total.device)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(total)
            dist.all_reduce(count)
        self.center.lerp_((total / count).to(self.center.dtype), 1 - self.momentum)


class Entropies:
    """Entropies of targets that arrive a few rows at a time: of the rows, and of their mean.

    Collapse to one prototype shows as a low entropy of the mean; a teacher that says nothing shows as a
    row entropy near ln K. About ENTROPY_ROWS of the ``rows`` rows are looked at.
    """

    def __init__(self, rows: int, prototypes: int, device: torch.device) -> None:
        self.stride = max(1, rows // ENTROPY_ROWS)
        self._count = 0
        self._entropy = torch.zeros((), device=device)
        self._sum = torch.zeros(prototypes, device=device)

    @torch.no_grad()
    def add(self, targets: Tensor, start: int) -> None:
        """Take in the rows [start, start + n) of all: probabilities (n, K)."""
        p = targets[-start % self.stride :: self.stride]
        self._count += p.shape[0]
        self._entropy += _entropy(p).sum()
        self._sum += p.sum(dim=0)

    def result(self) -> tuple[Tensor, Tensor]:
        """(mean entropy of the rows, entropy of the mean row) in nats."""
        return self._entropy / self._count, _entropy(self._sum / self._count)


def entropies(targets: Tensor) -> tuple[Tensor, Tensor]:
    """:class:`Entropies` of probabilities (rows, K) that are all there."""
    found = Entropies(*targets.shape, targets.device)
    found.add(targets, 0)
    return found.result()


def _entropy(p: Tensor) -> Tensor:
    # Not torch.xlogy, which takes several times as long; at 0 this is 0 too.
    return -(p * p.clamp(min=torch.finfo(p.dtype).tiny).log()).sum(dim=-1)
