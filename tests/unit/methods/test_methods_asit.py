"""ASiT as a learner: teacher, freezing, schedules, patch share, warnings, pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from asit.config import from_dict
from asit.errors import AsitError
from asit.features.picture import Axes
from asit.methods import asit
from asit.methods._monitor import entropy_warnings

T, F = 64, 32


def build(steps: int = 20, per_epoch: int = 5, frames: int = T, **options) -> asit.ASiT:
    small = {"embed_dim": 24, "depth": 2, "heads": 3, "patch": (8, 8), "drop_path": 0.0}
    heads = {"head_hidden": 32, "head_bottleneck": 16, "prototypes": (20,)}
    torch.manual_seed(0)
    settings = from_dict(asit.Settings, {**small, **heads, **options})
    return asit.build(settings, frames, F, steps, per_epoch).train()


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(b: int = 3, local: int = 0) -> dict:
    crops = {"global_crops": torch.randn(2, b, 1, T, F, generator=gen()), "utts": ["u"] * b}
    if local:
        crops["local_crops"] = torch.randn(local, b, 1, 24, F, generator=gen(1))
    return crops


def test_teacher_starts_as_the_student_and_moves_by_the_schedule() -> None:
    learner = build()
    for s, t in zip(learner.student.parameters(), learner.teacher.network.parameters(), strict=True):
        assert torch.equal(s, t)
        assert not t.requires_grad
    with torch.no_grad():
        for p in learner.student.parameters():
            p.add_(1.0)
    before = [p.clone() for p in learner.teacher.network.parameters()]
    learner.after_update(0, torch.zeros(()))
    for old, new in zip(before, learner.teacher.network.parameters(), strict=True):
        assert torch.allclose(new, old + 0.004, atol=1e-6)


def test_momentum_one_is_identity() -> None:
    learner = build(teacher_momentum=1.0)
    with torch.no_grad():
        learner.student.backbone.norm.weight.add_(5.0)
    learner.after_update(0, torch.zeros(()))
    assert (learner.teacher.network.backbone.norm.weight == 1).all()


def test_the_frozen_layer_is_truly_unchanged_and_then_released() -> None:
    learner = build(freeze_last_layer=1, prototypes=(20, 7))
    optimizer = torch.optim.AdamW(learner.student.parameters(), lr=0.01, weight_decay=0.1)
    frozen = {n: p for n, p in learner.student.named_parameters() if "last_layer" in n}
    assert len(frozen) == 4
    start = {n: p.detach().clone() for n, p in frozen.items()}
    for step in range(6):
        losses = learner.losses(batch(), step, gen(step))
        optimizer.zero_grad()
        losses["loss"].backward()
        learner.before_update(step)
        optimizer.step()
        same = {n: torch.equal(p, start[n]) for n, p in frozen.items()}
        assert all(same.values()) == (step < 5), (step, same)


def test_a_fixed_gain_is_not_trained() -> None:
    learner = build(train_gain=False)
    assert not learner.student.projection.last_layer_cls.weight_g.requires_grad


def test_totals_of_both_variants() -> None:
    for weights in ((1.0, 1.0, 2.0), (0.5, 0.5, 1.0)):
        losses = build(loss_weights=weights).losses(batch(), 0, gen())
        parts = (losses["global"], losses["local"], losses["reconstruction"])
        expected = sum(w * p.item() for w, p in zip(weights, parts, strict=True))
        assert losses["loss"].item() == pytest.approx(expected, rel=1e-6)


def test_local_crops_enter_the_global_loss_only() -> None:
    without, with_ = build().losses(batch(), 0, gen()), build().losses(batch(local=4), 0, gen())
    assert with_["global"] != without["global"]
    assert torch.equal(with_["local"], without["local"])
    assert torch.equal(with_["reconstruction"], without["reconstruction"])


def test_a_share_of_the_patch_tokens() -> None:
    learner = build(patch_share=0.25)
    kept = learner._kept_tokens(torch.zeros(4, 1, T, F), gen())
    assert kept.shape == (4, 8)
    assert all(len(set(row)) == 8 for row in kept.tolist())
    whole, part = build().losses(batch(), 0, gen()), learner.losses(batch(), 0, gen())
    assert torch.equal(whole["global"], part["global"])
    assert torch.equal(whole["reconstruction"], part["reconstruction"])
    learner.eval()  # keeps the centre still
    draws = torch.stack([learner.losses(batch(), 0, gen(i))["local"] for i in range(60)])
    alls = torch.stack([build().eval().losses(batch(), 0, gen(i))["local"] for i in range(60)])
    error = (draws.std() / 60**0.5).item()
    assert draws.mean().item() == pytest.approx(alls.mean().item(), abs=4 * error)


def test_without_distillation_nothing_is_paid_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Value and gradients are those in the limit; teacher, projection and local views are not computed."""
    alone = build(loss_weights=(0.0, 0.0, 1.0))
    nearly = build(loss_weights=(1e-30, 1e-30, 1.0))
    for part in (alone.teacher.network.backbone, alone.student.projection):
        monkeypatch.setattr(part, "forward", None)
    losses = alone.losses(batch(local=2), 0, gen())
    losses["loss"].backward()
    full = nearly.losses(batch(local=2), 0, gen())
    full["loss"].backward()
    assert list(losses) == ["loss", "reconstruction"]
    assert losses["loss"].item() == pytest.approx(full["reconstruction"].item(), rel=1e-6)
    trained = {name: p.grad for name, p in alone.student.named_parameters() if p.requires_grad}
    assert all(grad is not None for grad in trained.values()), "DDP waits for every gradient"
    assert not any(name.startswith("projection") for name in trained)
    for name, parameter in nearly.student.named_parameters():
        if name in trained:
            torch.testing.assert_close(trained[name], parameter.grad, rtol=1e-4, atol=1e-8)
    assert alone.warnings({name: value.item() for name, value in losses.items()}, 15) == []


def test_teacher_temperature_follows_the_epochs() -> None:
    learner = build(teacher_temp=(0.04, 0.07, 3))
    assert [round(learner.teacher_temp[s], 4) for s in (0, 4, 5, 10, 19)] == [0.04, 0.04, 0.055, 0.07, 0.07]


def test_drop_path_only_in_the_student() -> None:
    learner = build(drop_path=0.5).train()
    assert learner.student.backbone.blocks[1].drop_path.training
    assert not learner.teacher.network.backbone.blocks[1].drop_path.training


def test_wrapped_student_is_called_and_not_saved_twice() -> None:
    learner = build()
    calls = []

    class Wrapper(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, *args):
            calls.append(len(args))
            return self.module(*args)

    names = set(learner.state_dict())
    learner.wrap(Wrapper(learner.trained_module()))
    learner.losses(batch(), 0, gen())
    assert calls
    assert set(learner.state_dict()) == names


def test_bf16_losses_stay_near_fp32() -> None:
    # Measured on the published sizes: at most 9e-3 absolute for the CLS loss, less for the others.
    learner = build()
    full = learner.losses(batch(), 0, gen())
    with torch.autocast("cpu", torch.bfloat16):
        half = build().losses(batch(), 0, gen())
    assert half["loss"].dtype == torch.float32
    for name in ("global", "local", "reconstruction"):
        assert half[name].item() == pytest.approx(full[name].item(), abs=1e-2), name


def test_crops_that_patches_cannot_rebuild_are_refused() -> None:
    with pytest.raises(AsitError, match=r"crops of 60 frames cannot be reconstructed from patches of 8"):
        build(frames=60)
    with pytest.raises(AsitError, match=r"'teacher_temp': expected whole epochs as the last number, found 2.5"):
        build(teacher_temp=(0.04, 0.07, 2.5))
    with pytest.raises(AsitError, match=r"patch_share.*more than 0 and at most 1"):
        build(patch_share=0.0)


def test_warnings() -> None:
    ln_k = {"cls": 5.5, "patch": 5.5}

    def logged(entropy: float, of_mean: float) -> dict[str, float]:
        return {
            f"{what}_{kind}": v for kind in ln_k for what, v in (("entropy", entropy), ("entropy_of_mean", of_mean))
        }

    assert entropy_warnings(logged(2.0, 4.0), ln_k, 500, 2000) == []
    assert all("almost uniform" in w for w in entropy_warnings(logged(5.45, 5.5), ln_k, 500, 2000))
    assert all("collapse" in w for w in entropy_warnings(logged(0.1, 1.0), ln_k, 500, 2000))
    assert entropy_warnings(logged(0.1, 1.0), ln_k, 50, 2000) == [], "too early to tell"
    assert len(entropy_warnings(logged(0.1, 1.0), ln_k, 50, 200)) == 2


def test_warnings_come_from_the_logged_losses() -> None:
    learner = build(teacher_temp=(50.0,))  # a temperature that makes every target uniform
    losses = {k: v.item() for k, v in learner.losses(batch(), 0, gen()).items()}
    assert losses["entropy_cls"] == pytest.approx(losses["ln_k_cls"], abs=1e-2)
    assert losses["ln_k_patch"] == pytest.approx(math.log(20))
    assert ["teacher is almost uniform" in w for w in learner.warnings(losses, 19)] == [True, True]


def test_picture_has_axes_and_comes_from_the_network_without_drop_path() -> None:
    learner = build(drop_path=0.9)
    learner.train()
    first, second = (learner.pictures(batch(), 0)["reconstruction"] for _ in range(2))
    assert first.dtype == np.uint8
    assert first.ndim == 3
    assert (first == second).all()
    assert learner.student.training
    learner.axes = Axes(0.01, np.linspace(50, 7000, F))
    assert (learner.pictures(batch(), 0)["reconstruction"] != first).any()
