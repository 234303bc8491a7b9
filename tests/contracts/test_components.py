"""Every registered component keeps its kind's contract. New files are picked up by themselves."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from asit import registry
from asit.config import to_dict
from asit.models.classifier import HeadSettings
from asit.tasks.sed import Detected

MASKINGS = registry.names("masking")
LOSSES = registry.names("losses")
MODELS = registry.names("models")
METHODS = registry.names("methods")
TASKS = registry.names("tasks")
CLIP_TASKS = [name for name in TASKS if registry.load("tasks", name).Task.table == "utt2label"]
SEQUENCE_TASKS = [name for name in TASKS if name not in CLIP_TASKS]
EXPORTS = registry.names("export")

KINDS = {
    "masking": MASKINGS,
    "losses": LOSSES,
    "models": MODELS,
    "methods": METHODS,
    "tasks": TASKS,
    "export": EXPORTS,
}
ALL = [(kind, name) for kind, names in KINDS.items() for name in names]

T, F = 64, 32
SMALL = {"embed_dim": 16, "depth": 2, "heads": 2, "patch": (8, 8), "drop_path": 0.0}
SMALL_METHOD = {"head_hidden": 16, "head_bottleneck": 8, "prototypes": (12,)}


@pytest.mark.parametrize(("kind", "names"), [("masking", MASKINGS), ("losses", LOSSES), ("methods", METHODS)])
def test_no_file_of_these_folders_is_overlooked(kind: str, names: list[str]) -> None:
    files = Path(registry.__file__).parent.joinpath(kind).glob("[!_]*.py")
    assert names == sorted(path.stem for path in files)


def small(settings_class: type):
    """Settings of small sizes where the class has them, defaults elsewhere."""
    from asit.config import from_dict

    known = to_dict(settings_class())
    return from_dict(settings_class, {k: v for k, v in {**SMALL, **SMALL_METHOD}.items() if k in known})


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_kind_has_components() -> None:
    assert {kind: bool(names) for kind, names in KINDS.items()} == dict.fromkeys(KINDS, True)


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_module_is_documented_and_short(kind: str, name: str) -> None:
    module = registry.load(kind, name)
    assert module.__doc__, "a module starts by saying what it is"
    assert len(inspect.getsource(module).splitlines()) <= 320


@pytest.mark.parametrize(("kind", "name"), [(k, n) for k, n in ALL if k != "losses"])
def test_settings_are_frozen_options_with_help(kind: str, name: str) -> None:
    settings = registry.load(kind, name).Settings
    assert dataclasses.is_dataclass(settings)
    assert settings.__dataclass_params__.frozen
    for field in dataclasses.fields(settings):
        assert field.metadata.get("help") or "group" in field.metadata, f"{field.name} has no help"


@pytest.mark.parametrize("name", MASKINGS)
class TestMasking:
    def corrupt(self, name: str, clips: torch.Tensor, seed: int = 0):
        module = registry.load("masking", name)
        return module.corrupt(clips, module.Settings(), gen(seed))

    def clips(self, b: int = 5) -> torch.Tensor:
        return torch.randn(b, 1, T, F, generator=gen(9)) + 3  # no bin is 0 by chance

    def test_shapes_and_kinds(self, name: str) -> None:
        clips = self.clips()
        before = clips.clone()
        corrupted, mask = self.corrupt(name, clips)
        assert corrupted.shape == mask.shape == clips.shape
        assert mask.dtype == torch.bool
        assert corrupted.dtype == clips.dtype
        assert torch.equal(clips, before), "the input must stay as it is"

    def test_clean_bins_are_untouched_and_something_is_corrupted(self, name: str) -> None:
        clips = self.clips()
        corrupted, mask = self.corrupt(name, clips)
        assert torch.equal(corrupted[~mask], clips[~mask])
        assert 0 < mask.float().mean() < 1
        assert (corrupted[mask] != clips[mask]).float().mean() > 0.99

    def test_determined_by_the_generator_alone(self, name: str) -> None:
        clips = self.clips()
        torch.manual_seed(1)
        one = self.corrupt(name, clips, 4)
        torch.manual_seed(2)
        two, other = self.corrupt(name, clips, 4), self.corrupt(name, clips, 5)
        assert torch.equal(one.clips, two.clips)
        assert torch.equal(one.mask, two.mask)
        assert not torch.equal(one.mask, other.mask)

    def test_a_single_clip(self, name: str) -> None:
        corrupted, mask = self.corrupt(name, self.clips(1))
        assert torch.isfinite(corrupted).all()
        assert mask.any()


@pytest.mark.parametrize("name", LOSSES)
class TestLoss:
    def test_scalar_with_finite_gradient(self, name: str) -> None:
        module, call = registry.load("losses", name).example(gen())
        loss = call(module.train())
        assert loss.shape == ()
        assert torch.isfinite(loss)
        inputs = [c.cell_contents for c in call.__closure__ if torch.is_tensor(c.cell_contents)]
        trained = [x for x in inputs if x.requires_grad]
        assert trained, "the example has an input to differentiate"
        for gradient in torch.autograd.grad(loss, trained):
            assert torch.isfinite(gradient).all()
            assert gradient.abs().sum() > 0

    def test_deterministic(self, name: str) -> None:
        values = []
        for _ in range(2):
            module, call = registry.load("losses", name).example(gen(3))
            values.append(call(module).item())
        assert values[0] == values[1]

    def test_works_without_a_process_group(self, name: str) -> None:
        assert not torch.distributed.is_initialized()
        module, call = registry.load("losses", name).example(gen())
        call(module.train())


@pytest.mark.parametrize("name", MODELS)
class TestModel:
    def model(self, name: str, seed: int = 0):
        module = registry.load("models", name)
        torch.manual_seed(seed)
        return module.build(small(module.Settings), frames=T, mels=F)

    def test_tokens(self, name: str) -> None:
        model = self.model(name)
        tokens = model(torch.randn(3, 1, T, F))
        n = tokens.patches.shape[1]
        assert tokens.cls.shape == (3, model.embed_dim)
        assert tokens.patches.shape == (3, n, model.embed_dim)
        assert tokens.valid is None

    @pytest.mark.parametrize("frames", [16, 24, 40, 128])
    def test_any_length(self, name: str, frames: int) -> None:
        tokens = self.model(name)(torch.randn(2, 1, frames, F))
        assert torch.isfinite(tokens.patches).all()
        assert tokens.patches.shape[1] == frames // 8 * (F // 8)

    def test_gradients_reach_every_parameter(self, name: str) -> None:
        model = self.model(name).train()
        tokens = model(torch.randn(2, 1, T, F))
        (tokens.cls.square().mean() + tokens.patches.square().mean() + tokens.patches.mean()).backward()
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name

    def test_padding_changes_nothing(self, name: str) -> None:
        model = self.model(name).eval()
        x = torch.randn(2, 1, T, F, generator=gen())
        lengths = torch.tensor([T, 24])
        tokens = model(x, lengths)
        x2 = x.clone()
        x2[1, :, 24:] = 1e3
        again = model(x2, lengths)
        assert tokens.valid.sum(dim=1).tolist() == [T // 8 * (F // 8), 3 * (F // 8)]
        assert torch.allclose(tokens.cls, again.cls, atol=1e-5)
        assert torch.allclose(tokens.patches[tokens.valid], again.patches[again.valid], atol=1e-5)

    def test_same_seed_same_model(self, name: str) -> None:
        one, two = self.model(name, 1).state_dict(), self.model(name, 1).state_dict()
        assert all(torch.equal(one[k], two[k]) for k in one)


@pytest.mark.parametrize("name", METHODS)
class TestMethod:
    def learner(self, name: str):
        module = registry.load("methods", name)
        torch.manual_seed(0)
        return module.build(small(module.Settings), frames=T, mels=F, steps=10, steps_per_epoch=5).train()

    def batch(self) -> dict:
        return {
            "global_crops": torch.randn(2, 3, 1, T, F, generator=gen()),
            "local_crops": torch.randn(4, 3, 1, 24, F, generator=gen(1)),
            "utts": ["a", "b", "c"],
        }

    def test_losses_are_finite_scalars_and_deterministic(self, name: str) -> None:
        values = []
        for _ in range(2):
            losses = self.learner(name).losses(self.batch(), 0, gen(2))
            assert all(v.shape == () and torch.isfinite(v) for v in losses.values())
            assert losses["loss"].requires_grad
            assert not any(v.requires_grad for k, v in losses.items() if k != "loss")
            values.append({k: v.item() for k, v in losses.items()})
        assert values[0] == values[1]

    def test_every_trained_parameter_gets_a_gradient_and_no_other(self, name: str) -> None:
        learner = self.learner(name)
        learner.losses(self.batch(), 0, gen(2))["loss"].backward()
        trained = {id(p) for p in learner.trained_module().parameters() if p.requires_grad}
        for parameter_name, parameter in learner.named_parameters():
            if id(parameter) in trained:
                assert parameter.grad is not None, parameter_name
                assert torch.isfinite(parameter.grad).all(), parameter_name
            else:
                assert parameter.grad is None, parameter_name

    def test_state_survives_a_round_trip(self, name: str) -> None:
        one, two = self.learner(name), self.learner(name)
        one.losses(self.batch(), 0, gen(2))
        one.after_update(0, torch.zeros(()))
        two.load_state_dict(one.state_dict())
        batch = self.batch()
        assert one.losses(batch, 1, gen(5))["loss"].item() == two.losses(batch, 1, gen(5))["loss"].item()

    def test_pictures_are_images(self, name: str) -> None:
        for image in self.learner(name).pictures(self.batch(), 0).values():
            assert image.dtype == np.uint8
            assert image.ndim in (2, 3)

    def test_exports_a_backbone(self, name: str) -> None:
        for which in ("student", "teacher"):
            assert self.learner(name).backbone(which)(torch.randn(1, 1, T, F)).cls.shape[0] == 1


@pytest.mark.parametrize("name", CLIP_TASKS)
class TestTask:
    labels = ("dog", "cat", "cow", "hen")

    def task(self, name: str):
        module = registry.load("tasks", name)
        return module.Task(module.Settings(), list(self.labels))

    def test_targets_loss_scores_metrics(self, name: str) -> None:
        task = self.task(name)
        targets = task.targets([self.labels[i % 4] for i in range(8)])
        logits = torch.randn(8, task.num_outputs, generator=gen(), requires_grad=True)
        loss = task.loss(logits, torch.as_tensor(targets))
        loss.backward()
        assert loss.shape == ()
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()
        scores = np.asarray(task.scores(logits.detach()))
        assert scores.shape == (8, task.num_outputs)
        assert ((scores >= 0) & (scores <= 1)).all()
        assert [metric.name for metric in task.metrics] == list(task.measure(scores, targets))

    def test_perfect_scores_are_best(self, name: str) -> None:
        task = self.task(name)
        targets = task.targets([self.labels[i % 4] for i in range(8)])
        perfect = np.eye(task.num_outputs, dtype=np.float32)[[i % 4 for i in range(8)]]
        worst = np.roll(perfect, 1, axis=1)
        best, poor = (task.measure(s, targets)[task.metrics[0].name] for s in (perfect, worst))
        assert task.metrics[0].improves(best, poor)


class OfTable(NamedTuple):
    """What a task on sequences learns from, by the table of its targets: two utterances of 8 and 3 time steps."""

    labels: list[str]
    targets: torch.Tensor
    target_lengths: torch.Tensor
    references: list
    poor: list


SEQUENCES = {
    "text": OfTable(
        labels=["<blank>", "<unk>", "\u2581", "a", "b"],
        targets=torch.tensor([3, 4, 3]),
        target_lengths=torch.tensor([2, 1]),
        references=["a b", "a"],
        poor=["b", "b b"],
    ),
    "events": OfTable(
        labels=["dog", "cat"],
        targets=torch.arange(22).reshape(11, 2) % 3 == 0,
        target_lengths=torch.tensor([8, 3]),
        references=[[Detected(0.0, 1.0, "dog", 1.0), Detected(0.5, 3.0, "cat", 1.0)], []],
        poor=[[Detected(2.0, 3.0, "dog", 1.0)], [Detected(0.0, 1.0, "cat", 1.0)]],
    ),
}


@pytest.mark.parametrize("name", SEQUENCE_TASKS)
class TestSequenceTask:
    def task(self, name: str):
        module = registry.load("tasks", name)
        of = SEQUENCES[module.Task.table]
        return module.Task(module.Settings(), of.labels), of

    def test_network_loss_and_decoding(self, name: str) -> None:
        (task, of), module = self.task(name), registry.load("models", MODELS[0])
        torch.manual_seed(0)
        backbone = module.build(small(module.Settings), frames=T, mels=F)
        found = task.network(backbone, HeadSettings())(torch.randn(2, 1, T, F), torch.tensor([T, 24]))
        assert found.logits.shape == (2, T // 8, task.num_outputs)
        assert found.lengths.tolist() == [T // 8, 3]
        loss = task.loss(found.logits, found.lengths, of.targets, of.target_lengths)
        loss.backward()
        assert loss.shape == ()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(p.grad).all() for p in backbone.parameters() if p.grad is not None)

    def test_perfect_is_best(self, name: str) -> None:
        task, of = self.task(name)
        perfect, poor = task.measure(of.references, of.references), task.measure(of.poor, of.references)
        assert list(perfect) == [metric.name for metric in task.metrics]
        assert all(metric.improves(perfect[metric.name], poor[metric.name]) for metric in task.metrics)
