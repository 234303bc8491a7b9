"""The chunked distillation: same loss, gradients, centre and entropies as the formula, in less memory."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asit.losses._centering import Centering, Entropies, entropies
from asit.losses._factored import Factored, distil
from asit.losses.local_distillation import LocalDistillation

D, K = 6, 11


def factors(rows: int, dtype: torch.dtype = torch.float32) -> tuple[Factored, Factored]:
    generator = torch.Generator().manual_seed(rows)
    parts = [torch.randn(n, D, generator=generator) for n in (rows, K, rows, K)]
    embeddings, prototypes = parts[0].to(dtype).requires_grad_(), parts[1].requires_grad_()
    return Factored(embeddings, prototypes), Factored(parts[2].to(dtype), parts[3])


@given(rows=st.integers(1, 40), product=st.integers(1, 50), chunk=st.integers(1, 50))
@settings(max_examples=30, deadline=None)
def test_same_as_the_formula_for_any_chunk(rows: int, product: int, chunk: int) -> None:
    student, teacher = factors(rows)
    centering = Centering(K)
    centering.center.copy_(torch.linspace(-1, 1, K))
    found = distil(student, teacher, centering, 0.1, 0.05, (product, chunk))
    gradients = torch.autograd.grad(3 * found.loss, list(student))
    p = torch.softmax((teacher.logits() - centering.center) / 0.05, dim=-1)
    expected = -(p * torch.log_softmax(student.logits() / 0.1, dim=-1)).sum(dim=-1).mean()
    torch.testing.assert_close(found.loss, expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(gradients, torch.autograd.grad(3 * expected, list(student)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.total, teacher.logits().sum(dim=0), rtol=1e-5, atol=1e-5)
    for ours, theirs in zip((found.entropy, found.mean_entropy), entropies(p), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_a_large_sum_is_exact() -> None:
    """Float32 keeps six digits of a quarter of a million summands only when they are summed in parts."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (
        Factored(torch.randn(1024, 16, generator=generator), torch.randn(256, 16, generator=generator) / 8)
        for _ in range(2)
    )
    found = distil(student, teacher, Centering(256), 0.1, 0.05).loss
    exact = [Factored(x.embeddings.double(), x.prototypes.double()).logits() for x in (student, teacher)]
    p = torch.softmax(exact[1] / 0.05, dim=-1)
    expected = -(p * torch.log_softmax(exact[0] / 0.1, dim=-1)).sum(dim=-1).mean()
    assert abs(found.item() / expected.item() - 1) < 1e-6


def test_gradient_against_finite_differences() -> None:
    student, teacher = factors(5)
    fixed = Factored(teacher.embeddings.double(), teacher.prototypes.double())
    centering = Centering(K)

    def loss(embeddings: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
        return distil(Factored(embeddings, prototypes), fixed, centering, 0.5, 0.5, (4, 2)).loss

    inputs = [x.detach().double().requires_grad_() for x in student]
    # The sums are kept in float32, so the step of the differences must be large.
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-2, atol=1e-3, rtol=1e-2)


def test_the_loss_moves_the_centre_as_the_formula_does() -> None:
    student, teacher = factors(30)
    loss, reference = LocalDistillation(K).train(), Centering(K)
    for _ in range(3):
        found = loss(student, teacher, 0.05)
        p = reference.targets(teacher.logits(), 0.05)
        expected = -(p * torch.log_softmax(student.logits() / 0.1, dim=-1)).sum(dim=-1).mean()
        torch.testing.assert_close(found["loss"], expected, rtol=1e-5, atol=1e-5)
        for ours, theirs in zip((found["entropy"], found["mean_entropy"]), entropies(p), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
            assert not ours.requires_grad
        reference.update(teacher.logits())
    torch.testing.assert_close(loss.centering.center, reference.center)


def test_batches_of_sequences_are_rows() -> None:
    student, teacher = factors(12)
    shaped = [Factored(x.embeddings.view(3, 4, D), x.prototypes) for x in (student, teacher)]
    flat, folded = LocalDistillation(K), LocalDistillation(K)
    one, two = flat(student, teacher, 0.05), folded(*shaped, 0.05)
    assert torch.equal(one["loss"], two["loss"])
    assert torch.equal(flat.centering.center, folded.centering.center)


def test_frozen_factors_get_no_gradient() -> None:
    student, teacher = factors(7)
    fixed = Factored(student.embeddings, student.prototypes.detach())
    loss = LocalDistillation(K)(fixed, teacher, 0.05)["loss"]
    loss.backward()
    assert student.embeddings.grad is not None
    assert student.prototypes.grad is None
    detached = Factored(*(x.detach() for x in student))
    assert not LocalDistillation(K)(detached, teacher, 0.05)["loss"].requires_grad


def test_half_precision_factors_keep_a_float32_loss() -> None:
    student, teacher = factors(64, torch.bfloat16)
    found = LocalDistillation(K)(student, teacher, 0.07)
    exact = LocalDistillation(K)(*(Factored(x.embeddings.float(), x.prototypes) for x in (student, teacher)), 0.07)
    assert found["loss"].dtype == torch.float32
    found["loss"].backward()
    assert student.embeddings.grad.dtype == torch.bfloat16
    assert student.prototypes.grad.dtype == torch.float32
    assert found["loss"].item() == pytest.approx(exact["loss"].item(), rel=2e-2)


@given(st.integers(1, 5000), st.integers(1, 900))
@settings(max_examples=20, deadline=None)
def test_entropies_look_at_the_same_rows_in_chunks(rows: int, chunk: int) -> None:
    p = torch.softmax(torch.randn(rows, 3, generator=torch.Generator().manual_seed(rows)), dim=-1)
    parts = Entropies(rows, 3, p.device)
    for start in range(0, rows, chunk):
        parts.add(p[start : start + chunk], start)
    for ours, whole in zip(parts.result(), entropies(p), strict=True):
        torch.testing.assert_close(ours, whole, rtol=1e-5, atol=1e-5)
