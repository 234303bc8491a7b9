"""Three optimisation steps of both released variants, against numbers from the published reference code.

Origin and layout of the numbers: tests/golden/README.md.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from asit.config import from_dict
from asit.methods import asit
from asit.models.official import import_network, our_name
from asit.schedules import Cosine
from asit.train.clipping import clip_gradients

HERE = Path(__file__).parent
TOLERANCE = 1e-5  # of the array's largest magnitude
WEIGHTS = {"v1": (1.0, 1.0, 2.0), "v2": (0.5, 0.5, 1.0)}


@dataclass
class Golden:
    variant: str
    arrays: dict[str, np.ndarray]
    config: dict


@pytest.fixture(scope="module", params=["v1", "v2"])
def golden(request) -> Golden:
    with np.load(HERE / f"asit_{request.param}_step.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    return Golden(request.param, arrays, json.loads(str(arrays.pop("config"))))


def build_learner(golden: Golden) -> asit.ASiT:
    c = golden.config
    weights = WEIGHTS[golden.variant]
    settings = from_dict(
        asit.Settings,
        {
            "embed_dim": c["embed_dim"],
            "depth": c["depth"],
            "heads": c["heads"],
            "drop_path": 0.0,
            "head_hidden": c["head_hidden"],
            "head_bottleneck": c["head_bottleneck"],
            "prototypes": [c["prototypes"], *([c["patch_prototypes"]] if golden.variant == "v1" else [])],
            "train_gain": golden.variant == "v2",
            "rec_bottleneck": c["rec_bottleneck"],
            "loss_weights": weights,
            "teacher_temp": [*c["teacher_temp"], c["warmup_teacher_temp_epochs"]],
            # The released v1 meant to freeze the last layer, but the name it looked for never matched.
            "freeze_last_layer": c["freeze_last_layer"] if golden.variant == "v2" else 0,
        },
    )
    learner = asit.build(settings, c["frames"], c["mel"], c["epochs"] * c["niter"], c["niter"])
    for which, network in (("student", learner.student), ("teacher", learner.teacher.network)):
        official = {
            name.removeprefix(which + "/"): torch.from_numpy(value)
            for name, value in golden.arrays.items()
            if name.startswith(which + "/")
        }
        network.load_state_dict(import_network(official, network.state_dict()))
    return learner.train()


def views_of_step(k: int, config: dict):
    """(global crops (2, B, 1, T, F), local crops (4, B, 1, t, F), corrupted, mask), drawn as the origin says."""
    rng = np.random.RandomState(1000 * (k + 1) + config["seed"])
    b, t, f = config["batch"], config["frames"], config["mel"]

    def draw(*shape):
        return rng.standard_normal(shape).astype(np.float32) * 0.5

    clean = np.stack([draw(b, 1, t, f) for _ in range(2)])
    local = np.stack([draw(b, 1, config["local_frames"], f) for _ in range(4)])
    mask = np.zeros_like(clean)
    for view in range(2):
        for clip in range(b):
            for _ in range(12):
                row, column = rng.randint(0, 591), rng.randint(0, 127)
                rows, columns = rng.randint(1, 177), rng.randint(1, 38)
                mask[view, clip, 0, row : row + rows, column : column + columns] = 1
    corrupted = np.where(mask > 0, 0, clean)
    corrupted[:, 0] = np.where(mask[:, 0] > 0, clean[:, 1], clean[:, 0])
    return (torch.from_numpy(x.astype(np.float32)) for x in (clean, local, corrupted, mask))


def assert_close(found, expected, what: str) -> None:
    found = found.detach().double().cpu().numpy() if isinstance(found, torch.Tensor) else np.asarray(found, np.float64)
    expected = np.asarray(expected, np.float64)
    assert found.shape == expected.shape, what
    error = np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12)
    assert error <= TOLERANCE, f"{what}: off by {error:.2e} of its largest magnitude"


def test_three_steps(golden: Golden) -> None:
    three_steps(golden)


def three_steps(golden: Golden, device: str = "cpu", bf16: bool = False) -> None:
    """Compare three updates on a device, in float32 or under bf16 autocast; deviations.py calls it too."""
    learner, config, arrays = build_learner(golden).to(device), golden.config, golden.arrays
    autocast = torch.autocast(device, torch.bfloat16) if bf16 else contextlib.nullcontext()
    decayed = [p for p in learner.student.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in learner.student.parameters() if p.requires_grad and p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": decayed}, {"params": others, "weight_decay": 0.0}], lr=0.0)
    steps = config["epochs"] * config["niter"]
    lr = Cosine(config["base_lr"], config["min_lr"], steps, config["warmup_epochs"] * config["niter"])
    decay = Cosine(0.04, 0.4, steps)
    for k, epoch in enumerate(config["steps_epochs"]):
        step = int({0: 0, 1: 4, 2: 14}[k])
        assert step // config["niter"] == epoch
        clean, local, corrupted, mask = (x.to(device) for x in views_of_step(k, config))
        local = local if golden.variant == "v2" else None
        optimizer.param_groups[0]["weight_decay"] = decay[step]
        for group in optimizer.param_groups:
            group["lr"] = lr[step]
        assert_close(
            [lr[step], decay[step], learner.teacher_momentum[step]], arrays[f"step{k}/lr_wd_momentum"], "rates"
        )

        student, teacher = record(learner.student), record(learner.teacher.network)
        with autocast:
            with torch.no_grad():
                tokens = learner.student.backbone(corrupted.flatten(0, 1))
            views = (x.flatten(0, 1) for x in (clean, corrupted, mask))
            losses = learner.losses_of_views(*views, local, step)
        check_outputs(golden, k, student[0], teacher[0], tokens)
        for ours, theirs in (("global", "global"), ("local", "local"), ("reconstruction", "reconstruction")):
            assert_close(losses[ours], arrays[f"step{k}/loss_{theirs}"], f"step {k}: {ours} loss")
        assert_close(losses["loss"], arrays[f"step{k}/loss"], f"step {k}: loss")

        optimizer.zero_grad()
        losses["loss"].backward()
        parameters = dict(learner.student.named_parameters())
        names = [our_name(str(n)) for n in arrays[f"step{k}/grad_norm_names"]]
        norms = torch.stack([parameters[n].grad.norm() for n in names])
        assert set(names) == {n for n, p in parameters.items() if p.requires_grad}
        assert_close(norms, arrays[f"step{k}/grad_norms"], f"step {k}: gradient norms")
        clip_gradients([p.grad for p in parameters.values() if p.requires_grad], config["clip"][k])
        learner.before_update(step)
        optimizer.step()
        learner.after_update(step, torch.zeros((), device=device))
        check_after_update(golden, k, learner)


def record(module: torch.nn.Module) -> list:
    """Outputs of the next call of a module."""
    outputs: list = []

    def keep(_module, _inputs, output) -> None:
        outputs.append(output)
        handle.remove()

    handle = module.register_forward_hook(keep)
    return outputs


def check_outputs(golden: Golden, k: int, student, teacher, tokens) -> None:
    arrays, prefix = golden.arrays, f"step{k}/"
    globals_ = 2 * golden.config["batch"]
    if k == 0:
        both = torch.cat([tokens.cls[:, None], tokens.patches], dim=1)
        assert_close(both[:, ::8], arrays[prefix + "student_tokens"], "student tokens")
    assert_close(student.cls[:globals_], arrays[prefix + "student_cls"], f"step {k}: student CLS logits")
    assert_close(teacher.cls, arrays[prefix + "teacher_cls"], f"step {k}: teacher CLS logits")
    if golden.variant == "v2":
        assert_close(student.cls[globals_:], arrays[prefix + "student_local_cls"], f"step {k}: local crops")
    assert_close(student.patches.logits()[:, ::37], arrays[prefix + "student_patch"], f"step {k}: student patch logits")
    assert_close(teacher.patches.logits()[:, ::37], arrays[prefix + "teacher_patch"], f"step {k}: teacher patch logits")
    assert_close(
        student.reconstruction[:, :, ::37, ::8], arrays[prefix + "reconstruction"], f"step {k}: reconstruction"
    )


def check_after_update(golden: Golden, k: int, learner: asit.ASiT) -> None:
    arrays, prefix = golden.arrays, f"step{k}/"
    assert_close(learner.global_loss.centering.center, arrays[prefix + "center_cls"], f"step {k}: CLS centre")
    assert_close(learner.local_loss.centering.center, arrays[prefix + "center_patch"], f"step {k}: patch centre")
    for which, network in (("student", learner.student), ("teacher", learner.teacher.network)):
        parameters = dict(network.named_parameters())
        order = [our_name(n.removeprefix(which + "/")) for n in arrays if n.startswith(which + "/")]
        sums = [parameters[n].detach().double().sum().item() for n in order]
        assert_close(sums, arrays[f"{prefix}{which}_param_sums"], f"step {k}: {which} parameters")


def test_schedules(golden: Golden) -> None:
    c = golden.config
    steps = c["epochs"] * c["niter"]
    lr = Cosine(c["base_lr"], c["min_lr"], steps, c["warmup_epochs"] * c["niter"])
    for name, schedule in (("lr", lr), ("wd", Cosine(0.04, 0.4, steps)), ("momentum", Cosine(0.996, 1.0, steps))):
        assert_close([schedule[i] for i in range(steps)], golden.arrays[f"schedule/{name}"], name)
