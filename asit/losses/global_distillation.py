"""Global self-distillation between views on the class token (paper, section III; DINO, equation 3).

B clips, K prototypes, V views.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asit.losses._centering import Centering, entropies


class GlobalDistillation(nn.Module):
    """Cross-entropy of every student view against every *other* teacher view, averaged over the pairs.

    Args:
        prototypes: K.
        student_temp: temperature of the student, 0.1 as published.
        center_momentum: see :class:`asit.losses._centering.Centering`.
    """

    def __init__(self, prototypes: int, student_temp: float = 0.1, center_momentum: float = 0.9) -> None:
        super().__init__()
        self.student_temp = student_temp
        self.centering = Centering(prototypes, center_momentum)

    def forward(self, student: Tensor, teacher: Tensor, views: int, teacher_temp: float) -> dict[str, Tensor]:
        """The loss, then the update of the centre (in training mode).

        Args:
            student: logits (V * B, K), view after view; the teacher's views come first.
            teacher: logits (2 * B, K), the two global views.
            views: V.
            teacher_temp: temperature of the teacher at this step.

        Returns:
            ``loss`` (scalar) and, without gradient, ``entropy`` and ``mean_entropy`` of the targets in nats.
        """
        targets = self.centering.targets(teacher, teacher_temp).chunk(2)
        scores = F.log_softmax(student.float() / self.student_temp, dim=-1).chunk(views)
        terms = [-(t * s).sum(dim=-1).mean() for i, t in enumerate(targets) for j, s in enumerate(scores) if i != j]
        if self.training:
            self.centering.update(teacher)
        entropy, mean_entropy = entropies(torch.cat(targets))
        return {"loss": sum(terms) / len(terms), "entropy": entropy, "mean_entropy": mean_entropy}


def example(generator: torch.Generator) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """A small instance and a call of it, for the contract tests: 3 views of 4 clips, 16 prototypes."""
    student = torch.randn(12, 16, generator=generator, requires_grad=True)
    teacher = torch.randn(8, 16, generator=generator)
    return GlobalDistillation(16), lambda loss: loss(student, teacher, 3, 0.05)["loss"]
