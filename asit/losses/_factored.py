"""Distillation between logits that are never held whole: they are made, used and forgotten a few rows at a time.

Logits of patch tokens are rows x K, and a loss needs several arrays of that size: logits, targets, log-softmax and
gradient of 19,000 rows and 8192 prototypes take 600 MB each. All that the rest of the network needs of them
is the gradient of their two small factors, so it is computed along with the loss, in the forward pass.

R rows, d width of the embeddings, K prototypes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from asit.losses._centering import Centering, Entropies

# Logits held at once, a few arrays of them. On a CPU they should stay in the cache.
CHUNK = {"cpu": 2**20, "cuda": 2**26}


class Factored(NamedTuple):
    """Logits as a product: ``embeddings @ prototypes.T``."""

    embeddings: Tensor  # (..., d)
    prototypes: Tensor  # (K, d)

    def logits(self) -> Tensor:
        """(..., K), in the embeddings' dtype."""
        return F.linear(self.embeddings, self.prototypes.to(self.embeddings.dtype))

    def rows(self) -> Factored:
        """The same with embeddings (R, d)."""
        return Factored(self.embeddings.flatten(0, -2), self.prototypes)


class Distilled(NamedTuple):
    """What one pass over the rows gives."""

    loss: Tensor  # scalar, differentiable with respect to the student's factors
    total: Tensor  # (K,), sum of the teacher's logits, for the centre
    entropy: Tensor  # scalar: mean entropy of the targets in nats
    mean_entropy: Tensor  # scalar: entropy of the mean target


def distil(
    student: Factored,
    teacher: Factored,
    centering: Centering,
    student_temp: float,
    teacher_temp: float,
    chunk: int | None = None,
) -> Distilled:
    """Mean cross-entropy of the student's softmax against the teacher's, row by row.

    Args:
        student: the student's logits; the gradient goes to both factors.
        teacher: the teacher's logits of the same rows; gets no gradient.
        centering: holds the teacher's centre, which is not moved here.
        student_temp, teacher_temp: temperatures.
        chunk: rows at once; None chooses by K and the device.
    """
    student, teacher = student.rows(), teacher.rows()
    if chunk is None:
        most = CHUNK.get(student.embeddings.device.type, CHUNK["cuda"])
        chunk = max(16, most // student.prototypes.shape[0])
    return Distilled(
        *_Distil.apply(*student, *teacher, centering, student_temp, teacher_temp, chunk)  # type: ignore[no-untyped-call]
    )


class _Distil(torch.autograd.Function):
    """Loss and gradient in one pass; nothing of size (R, K) is kept."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        student: Tensor,
        student_prototypes: Tensor,
        teacher: Tensor,
        teacher_prototypes: Tensor,
        centering: Centering,
        student_temp: float,
        teacher_temp: float,
        chunk: int,
    ) -> tuple[Tensor, ...]:
        rows, kinds = student.shape[0], student_prototypes.shape[0]
        wanted = ctx.needs_input_grad[:2]  # type: ignore[attr-defined]
        weight, teacher_weight = student_prototypes.to(student.dtype), teacher_prototypes.to(teacher.dtype)
        by_row = torch.empty_like(student) if wanted[0] else None
        by_prototype = torch.zeros_like(student_prototypes, dtype=torch.float32) if wanted[1] else None
        loss, total = (torch.zeros(n, dtype=torch.float32, device=student.device) for n in (1, kinds))
        entropies = Entropies(rows, kinds, student.device)
        for start in range(0, rows, chunk):
            at = slice(start, start + chunk)
            logits = F.linear(teacher[at], teacher_weight).float()
            total += logits.sum(dim=0)
            targets = centering.targets(logits, teacher_temp)
            entropies.add(targets, start)
            scores = F.linear(student[at], weight).float().div_(student_temp).log_softmax(dim=-1)
            loss -= torch.dot(targets.flatten(), scores.flatten())
            if not any(wanted):
                continue
            # The targets of a row sum to 1, so the gradient of the scaled logits is softmax - targets.
            slope = scores.exp_().sub_(targets).div_(student_temp * rows).to(student.dtype)
            if by_row is not None:
                torch.mm(slope, weight, out=by_row[at])
            if by_prototype is not None:
                by_prototype += slope.t() @ student[at]
        ctx.save_for_backward(*(x for x in (by_row, by_prototype) if x is not None))
        ctx.wanted = wanted  # type: ignore[attr-defined]
        entropy, mean_entropy = entropies.result()
        ctx.mark_non_differentiable(total, entropy, mean_entropy)
        return loss[0] / rows, total, entropy, mean_entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        saved = iter(ctx.saved_tensors)  # type: ignore[attr-defined]
        found = [next(saved) * gradient if wanted else None for wanted in ctx.wanted]  # type: ignore[attr-defined]
        return (*found, None, None, None, None, None, None)
