from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from asit.schedules import Constant
from asit.seeding import derive
from asit.train.clipping import clip_gradients
from asit.train.optimizer import Optimizer
from asit.train.param_groups import layer_of, param_groups
from asit.train.settings import TrainSettings


class Vit(nn.Module):
    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.pos_embed = nn.Parameter(torch.zeros(1, 5, 4))
        self.patch_embed = nn.Linear(4, 4)
        self.blocks = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 3)
        self.frozen = nn.Parameter(torch.zeros(3, 3), requires_grad=False)


def test_biases_and_vectors_do_not_decay():
    model = Vit()
    plain, decayed = (
        {id(p) for g in param_groups(model) if g["decay"] is d for p in g["params"]} for d in (False, True)
    )
    names = {id(p): n for n, p in model.named_parameters()}
    assert {names[i] for i in plain} == {n for n in names.values() if n.endswith("bias") or n == "norm.weight"}
    assert len(plain) + len(decayed) == len(names) - 1  # without the frozen one


def test_layer_decay_grows_towards_the_head():
    model = Vit()
    names = {id(p): n for n, p in model.named_parameters()}
    scale = {names[id(p)]: g["lr_scale"] for g in param_groups(model, layer_decay=0.5) for p in g["params"]}
    assert scale["pos_embed"] == scale["cls_token"] == scale["patch_embed.weight"] == 0.125
    assert (scale["blocks.0.weight"], scale["blocks.1.bias"], scale["norm.weight"], scale["head.weight"]) == (
        0.25,
        0.5,
        1,
        1,
    )


def test_every_parameter_is_in_one_group():
    model = Vit()
    found = [id(p) for g in param_groups(model, 0.7) for p in g["params"]]
    assert len(found) == len(set(found)) == sum(p.requires_grad for p in model.parameters())


def test_layer_names_are_whole_words():
    assert layer_of("my_pos_embedding.weight", 12) == 13
    assert layer_of("backbone.blocks.11.attn.qkv.weight", 12) == 12


@settings(deadline=None)  # the first call loads much of torch
@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5), st.floats(0.05, 10))
def test_clipping_by_tensor_is_the_published_formula(sizes, limit):
    gradients = [torch.full((3,), size) for size in sizes]
    before = [g.clone() for g in gradients]
    norms = clip_gradients(gradients, limit)
    for clipped, old, norm in zip(gradients, before, norms.tolist(), strict=True):
        assert norm == pytest.approx(old.norm().item())
        torch.testing.assert_close(clipped, old * min(1.0, limit / (norm + 1e-6)))


def test_clipping_together_and_not_at_all():
    gradients = [torch.tensor([3.0]), torch.tensor([4.0])]
    clip_gradients(gradients, 0)
    assert [g.item() for g in gradients] == [3, 4]
    clip_gradients(gradients, 0, 1.0)
    assert math.hypot(*[g.item() for g in gradients]) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["adamw", "adam"])
def test_updates_equal_torch_and_bad_ones_do_nothing(kind):
    ours, reference = nn.Linear(4, 3), nn.Linear(4, 3)
    reference.load_state_dict(ours.state_dict())
    options = TrainSettings(optimizer=kind, betas=(0.9, 0.99))
    optimizer = Optimizer(param_groups(ours), options, Constant(0.1), Constant(0.2))
    other = (torch.optim.AdamW if kind == "adamw" else torch.optim.Adam)(
        [{"params": [reference.weight], "weight_decay": 0.2}, {"params": [reference.bias], "weight_decay": 0.0}],
        lr=0.1, betas=(0.9, 0.99),
    )  # fmt: skip
    for step in range(3):
        for model in (ours, reference):
            model.weight.grad = torch.full((3, 4), 0.1 * (step + 1))
            model.bias.grad = torch.full((3,), -0.2)
        optimizer.update(step, torch.tensor(0.0))
        other.step()
        kept = [p.clone() for p in ours.parameters()]
        ours.weight.grad = torch.full((3, 4), torch.nan)
        optimizer.update(step, torch.tensor(1.0))
        assert all(torch.equal(a, b) for a, b in zip(kept, ours.parameters(), strict=True))
    for a, b in zip(ours.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_seeds_differ_by_purpose_and_counter(seed, counter):
    found = {
        derive(seed, "a", counter),
        derive(seed, "b", counter),
        derive(seed, "a", counter + 1),
        derive(seed + 1, "a", counter),
    }
    assert len(found) == 4
    assert all(0 <= f < 2**63 for f in found)


def test_seeds_are_the_same_everywhere():
    assert derive(0, "order", 3) == 228291028133782092
