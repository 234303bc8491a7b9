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

# Logits that one matrix product makes, of teacher and student; the more, the less often the prototypes are read.
PRODUCT = {"cpu": 2**22, "cuda": 2**26}
# Of these, as many are taken through the softmax at once. On a CPU the few arrays of them should stay in the cache.
CHUNK = {"cpu": 2**18, "cuda": 2**26}


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
    rows: tuple[int, int] | None = None,
) -> Distilled:
    """Mean cross-entropy of the student's softmax against the teacher's, row by row.

    Args:
        student: the student's logits; the gradient goes to both factors.
        teacher: the teacher's logits of the same rows; gets no gradient.
        centering: holds the teacher's centre, which is not moved here.
        student_temp, teacher_temp: temperatures.
        rows: of a matrix product, and of a softmax; None chooses by K and the device.
    """
    student, teacher = student.rows(), teacher.rows()
    if rows is None:
        device, kinds = student.embeddings.device.type, student.prototypes.shape[0]
        rows = tuple(max(16, most.get(device, most["cuda"]) // kinds) for most in (PRODUCT, CHUNK))
    return Distilled(
        *_Distil.apply(*student, *teacher, centering, student_temp, teacher_temp, *rows)  # type: ignore[no-untyped-call]
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
        product: int,
        chunk: int,
    ) -> tuple[Tensor, ...]:
        rows, kinds = student.shape[0], student_prototypes.shape[0]
        wanted = ctx.needs_input_grad[:2]  # type: ignore[attr-defined]
        weight = student_prototypes.to(student.dtype)
        # The temperatures divide the prototypes: K x d numbers instead of R x K.
        sharp = (student_prototypes / student_temp).to(student.dtype)
        teacher_sharp = (teacher_prototypes / teacher_temp).to(teacher.dtype)
        center = centering.center / teacher_temp
        by_row = torch.empty_like(student) if wanted[0] else None
        by_prototype = torch.zeros_like(student_prototypes, dtype=torch.float32) if wanted[1] else None
        loss = torch.zeros((), dtype=torch.float32, device=student.device)
        entropies = Entropies(rows, kinds, student.device)
        for first in range(0, rows, product):
            at = slice(first, first + product)
            logits, scores = F.linear(teacher[at], teacher_sharp), F.linear(student[at], sharp)
            for start in range(0, len(logits), chunk):
                some = slice(start, start + chunk)
                targets = F.softmax(logits[some].float() - center, dim=-1)
                entropies.add(targets, first + start)
                log_share = F.log_softmax(scores[some].float(), dim=-1)
                loss -= torch.linalg.vecdot(targets, log_share).sum()  # torch.dot of all is off by 1e-5
                if any(wanted):
                    # The targets of a row sum to 1, so the gradient of the sharpened logits is softmax - targets.
                    scores[some] = log_share.exp_().sub_(targets)
            if by_row is not None:
                torch.mm(scores, weight, out=by_row[at])
            if by_prototype is not None:
                by_prototype += scores.t() @ student[at]
        ctx.save_for_backward(*(x for x in (by_row, by_prototype) if x is not None))
        ctx.wanted, ctx.scale = wanted, 1 / (student_temp * rows)  # type: ignore[attr-defined]
        total = teacher_prototypes.float() @ teacher.sum(dim=0, dtype=torch.float32)  # the sum of products
        entropy, mean_entropy = entropies.result()
        ctx.mark_non_differentiable(total, entropy, mean_entropy)
        return loss / rows, total, entropy, mean_entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        saved = iter(ctx.saved_tensors)  # type: ignore[attr-defined]
        scale = gradient * ctx.scale  # type: ignore[attr-defined]
        found = [next(saved) * scale if wanted else None for wanted in ctx.wanted]  # type: ignore[attr-defined]
        return (*found, None, None, None, None, None, None, None)
