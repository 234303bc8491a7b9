"""Local self-distillation: patch tokens of the corrupted view against those of the clean one.

Paper, section III. B clips, N patches, K prototypes; rows are patch tokens of any clip and view.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asit.losses._centering import Centering, entropies


class LocalDistillation(nn.Module):
    """Cross-entropy at every patch position of the same view, over all patches and not only corrupted ones.

    Args: as :class:`asit.losses.global_distillation.GlobalDistillation`.
    """

    def __init__(self, prototypes: int, student_temp: float = 0.1, center_momentum: float = 0.9) -> None:
        super().__init__()
        self.student_temp = student_temp
        self.centering = Centering(prototypes, center_momentum)

    def forward(self, student: Tensor, teacher: Tensor, teacher_temp: float) -> dict[str, Tensor]:
        """The loss, then the update of the centre (in training mode).

        Args:
            student: logits (..., K) of the corrupted views.
            teacher: logits (..., K) of the clean views, the same rows in the same order.
            teacher_temp: temperature of the teacher at this step.

        Returns:
            ``loss`` (scalar) and, without gradient, ``entropy`` and ``mean_entropy`` of the targets in nats.
        """
        student, teacher = student.flatten(0, -2), teacher.flatten(0, -2)
        targets = self.centering.targets(teacher, teacher_temp)
        loss = -(targets * F.log_softmax(student.float() / self.student_temp, dim=-1)).sum(dim=-1).mean()
        if self.training:
            self.centering.update(teacher)
        entropy, mean_entropy = entropies(targets)
        return {"loss": loss, "entropy": entropy, "mean_entropy": mean_entropy}


def example(generator: torch.Generator) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """A small instance and a call of it, for the contract tests: 4 clips of 6 patches, 16 prototypes."""
    student = torch.randn(4, 6, 16, generator=generator, requires_grad=True)
    teacher = torch.randn(4, 6, 16, generator=generator)
    return LocalDistillation(16), lambda loss: loss(student, teacher, 0.05)["loss"]
