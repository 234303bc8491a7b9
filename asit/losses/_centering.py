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

    @torch.no_grad()
    def update(self, teacher_logits: Tensor) -> None:
        """Move the centre towards the mean over all rows of all ranks; call it after the loss."""
        total = teacher_logits.float().sum(dim=0)
        rows = torch.tensor(float(teacher_logits.shape[0]), device=total.device)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(total)
            dist.all_reduce(rows)
        self.center.lerp_((total / rows).to(self.center.dtype), 1 - self.momentum)


@torch.no_grad()
def entropies(targets: Tensor) -> tuple[Tensor, Tensor]:
    """(mean entropy of the rows, entropy of the mean row) of probabilities (rows, K), in nats.

    Collapse to one prototype shows as a low entropy of the mean; a teacher that says nothing shows as a
    row entropy near ln K.
    """
    p = targets[:: max(1, targets.shape[0] // ENTROPY_ROWS)]
    mean = p.mean(dim=0)
    return _entropy(p).mean(), _entropy(mean)


def _entropy(p: Tensor) -> Tensor:
    return -torch.xlogy(p, p).sum(dim=-1)
