"""Local self-distillation: patch tokens of the corrupted view against those of the clean one.

Paper, section III. B clips, N patches, K prototypes; rows are patch tokens of any clip and view.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from asit.losses._centering import Centering
from asit.losses._factored import Factored, distil


class LocalDistillation(nn.Module):
    """Cross-entropy at every patch position of the same view, over all patches and not only corrupted ones.

    Args:
        prototypes, student_temp, center_momentum: as :class:`asit.losses.global_distillation.GlobalDistillation`.
    """

    def __init__(self, prototypes: int, student_temp: float = 0.1, center_momentum: float = 0.9) -> None:
        super().__init__()
        self.student_temp = student_temp
        self.centering = Centering(prototypes, center_momentum)

    def forward(self, student: Factored, teacher: Factored, teacher_temp: float) -> dict[str, Tensor]:
        """The loss, then the update of the centre (in training mode).

        Args:
            student: factors of the logits (..., K) of the corrupted views; all logits never exist at once.
            teacher: of the clean views, the same rows in the same order.
            teacher_temp: temperature of the teacher at this step.

        Returns:
            ``loss`` (scalar) and, without gradient, ``entropy`` and ``mean_entropy`` of the targets in nats.
        """
        found = distil(student, teacher, self.centering, self.student_temp, teacher_temp)
        if self.training:
            self.centering.update_from_sum(found.total, student.embeddings[..., 0].numel())
        return {"loss": found.loss, "entropy": found.entropy, "mean_entropy": found.mean_entropy}


def example(generator: torch.Generator) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """A small instance and a call of it, for the contract tests: 4 clips of 6 patches, 16 prototypes."""
    student = torch.randn(4, 6, 8, generator=generator, requires_grad=True)
    teacher, prototypes = torch.randn(4, 6, 8, generator=generator), torch.randn(16, 8, generator=generator)
    return LocalDistillation(16), lambda loss: loss(Factored(student, prototypes), Factored(teacher, prototypes), 0.05)[
        "loss"
    ]
