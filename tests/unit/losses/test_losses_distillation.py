"""Distillation: formulas written out, centre updates, entropies, several ranks."""

from __future__ import annotations

import math

import pytest
import torch
import torch.multiprocessing as mp

from asit.losses._centering import Centering, entropies
from asit.losses._factored import Factored
from asit.losses.global_distillation import GlobalDistillation
from asit.losses.local_distillation import LocalDistillation
from asit.losses.reconstruction import Reconstruction


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_global_loss_is_the_sum_over_other_views() -> None:
    b, k, views, temp = 3, 5, 4, 0.05
    student, teacher = torch.randn(views * b, k, generator=gen()), torch.randn(2 * b, k, generator=gen(1))
    loss = GlobalDistillation(k)
    loss.centering.center.copy_(torch.randn(k, generator=gen(2)))
    center = loss.centering.center.clone()
    expected, pairs = 0.0, 0
    for i in range(2):
        for j in range(views):
            if i == j:
                continue
            for clip in range(b):
                p = torch.softmax((teacher[i * b + clip] - center) / temp, -1)
                q = torch.log_softmax(student[j * b + clip] / 0.1, -1)
                expected -= (p * q).sum().item() / b
            pairs += 1
    assert loss(student, teacher, views, temp)["loss"].item() == pytest.approx(expected / pairs, rel=1e-5)


def test_the_centre_moves_after_the_loss_and_only_in_training() -> None:
    teacher = Factored(torch.randn(8, 3, generator=gen()), torch.randn(4, 3, generator=gen(1)))
    loss = LocalDistillation(4).train()
    first = loss(teacher, teacher, 0.05)["loss"]
    assert torch.allclose(loss.centering.center, 0.1 * teacher.logits().mean(dim=0), atol=1e-7)
    fresh = LocalDistillation(4).eval()
    assert torch.equal(fresh(teacher, teacher, 0.05)["loss"], first), "the centre of this step came too early"
    assert fresh.centering.center.abs().sum() == 0


def test_teacher_gets_no_gradient() -> None:
    student, teacher = (
        Factored(torch.randn(4, 3, requires_grad=True), torch.randn(6, 3, requires_grad=True)) for _ in range(2)
    )
    LocalDistillation(6)(student, teacher, 0.05)["loss"].backward()
    assert all(factor.grad is None for factor in teacher)
    assert all(factor.grad.abs().sum() > 0 for factor in student)


def test_entropies_tell_collapse_from_health() -> None:
    k = 16
    collapsed = torch.nn.functional.one_hot(torch.zeros(32, dtype=torch.long), k).float()
    uniform = torch.full((32, k), 1 / k)
    sharp = torch.nn.functional.one_hot(torch.arange(32) % k, k).float()
    for p, row, mean in ((collapsed, 0, 0), (uniform, math.log(k), math.log(k)), (sharp, 0, math.log(k))):
        entropy, of_mean = entropies(p)
        assert entropy.item() == pytest.approx(row, abs=1e-5)
        assert of_mean.item() == pytest.approx(mean, abs=1e-5)


def _rank_center(rank: int, port: int, results) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    rows = torch.arange(12, dtype=torch.float32).view(6, 2)
    centering = Centering(2)
    centering.update(rows[:2] if rank == 0 else rows[2:])  # unequal shares
    results[rank] = centering.center.tolist()
    torch.distributed.destroy_process_group()


def test_the_centre_is_the_mean_over_all_rows_of_all_ranks(unused_port) -> None:
    with mp.get_context("spawn").Manager() as manager:
        results = manager.dict()
        mp.spawn(_rank_center, args=(unused_port, results), nprocs=2)
        alone = Centering(2)
        alone.update(torch.arange(12, dtype=torch.float32).view(6, 2))
        assert results[0] == pytest.approx(alone.center.tolist())
        assert results[1] == results[0]


def test_reconstruction_counts_corrupted_bins_only() -> None:
    clean = torch.zeros(2, 1, 4, 4)
    output = torch.full_like(clean, 7.0)
    mask = torch.zeros_like(clean, dtype=torch.bool)
    mask[0, 0, 0, :3] = True
    output[0, 0, 0, :3] = torch.tensor([1.0, -2.0, 3.0])
    assert Reconstruction()(output, clean, mask).item() == pytest.approx(2.0)
    assert Reconstruction(all_bins=True)(output, clean, mask).item() == pytest.approx((6 + 29 * 7) / 32)
    assert Reconstruction()(output, clean, torch.zeros_like(mask)).item() == 0
