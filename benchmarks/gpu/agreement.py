"""Part agreement of benchmarks/gpu.sh: a GPU computes what the CPU computes.

Golden values of both variants in float32 without TF32 and under bf16, corruption, local loss, fine-tuning and scores.
"""

from __future__ import annotations

import copy

import torch
from part import Part, exact_float32
from torch import Tensor

# isort: split
import deviations
import training_step

from asit.layers.attention import Attention
from asit.layers.heads import ProjectionHead
from asit.losses._factored import Factored
from asit.losses.local_distillation import LocalDistillation
from asit.masking import gmml
from asit.models.classifier import Classifier, HeadSettings
from asit.tasks import classification
from asit.tasks.finetuner import FineTuner, FineTunerSettings

EXACT, BF16_FLOOR = 1e-4, 5e-3  # of the largest magnitude of an array


def off(found: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest magnitude."""
    found, expected = (x.detach().double().cpu() for x in (found, expected))
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def golden(part: Part, variant: str) -> None:
    """The stored values of the released code."""
    found = deviations.deviations(variant, part.device.type)
    kind = max(found, key=lambda name: found[name])
    part.at_most(f"golden {variant}, float32: {kind}, the furthest of {len(found)}", found[kind], EXACT)


def golden_bf16(part: Part, variant: str) -> None:
    """Under bf16 no number is further from the stored one than twice as far as on the CPU."""
    found, cpu = (deviations.deviations(variant, device, bf16=True) for device in (part.device.type, "cpu"))
    shares = {name: found[name] / max(2 * cpu[name], BF16_FLOOR) for name in found}
    kind = max(shares, key=lambda name: shares[name])
    name = f"golden {variant}, bf16: {kind}, the nearest to its bound of {len(found)}"
    part.at_most(name, found[kind], max(2 * cpu[kind], BF16_FLOOR))


def corruption(part: Part) -> None:
    """The same draws corrupt the same bins; draws on the device have the CPU's rates."""
    clips, settings = torch.randn(512, 1, 592, 128), gmml.Settings()
    draws = torch.Generator().manual_seed(0)
    expected = gmml.corrupt(clips, settings, draws)
    found = gmml.corrupt(clips.to(part.device), settings, draws.manual_seed(0))
    same = all(torch.equal(a.cpu(), b) for a, b in zip(found, expected, strict=True))
    part.record("corruption: the same draws give the same bins", same)
    on_device = gmml.corrupt(clips.to(part.device), settings, torch.Generator(part.device).manual_seed(0))
    rates = [x.mask.float().mean(0)[0].cpu().unfold(0, 16, 16).unfold(1, 16, 16).mean((2, 3)) for x in
             (on_device, expected)]  # fmt: skip
    part.at_most("corruption: rate of a patch, by draws on the device", float((rates[0] - rates[1]).abs().max()), 0.15)
    part.at_most("corruption: share of all bins", float((rates[0].mean() - rates[1].mean()).abs()), 0.03)


def local_loss(part: Part) -> None:
    """Value, gradients and centre, with more rows than one product takes on either device."""
    rows, width, kinds = (64, 32, 128) if part.tiny else (19_000, 256, 8192)
    draw = torch.Generator().manual_seed(0)
    arrays = [torch.randn(n, width, generator=draw) for n in (rows, kinds, rows, kinds)]
    values = []
    for device in ("cpu", part.device):
        student, weight, teacher, teacher_weight = (x.to(device) * width**-0.5 for x in arrays)
        student.requires_grad_(), weight.requires_grad_()
        loss = LocalDistillation(kinds).to(device)
        found = loss(Factored(student, weight), Factored(teacher, teacher_weight), 0.07)
        found["loss"].backward()
        values.append([found["loss"], found["entropy"], student.grad, weight.grad, loss.centering.center])
    for name, a, b in zip(("loss", "entropy", "gradient", "prototypes' gradient", "centre"), *values, strict=True):
        part.at_most(f"local loss: {name}", off(b, a), EXACT)


def fine_tuning(part: Part) -> None:
    """Loss, gradients and scores of clips of several lengths."""
    more = {"depth": 2, "embed_dim": 48, "heads": 3} if part.tiny else {}
    step = training_step.Step("tiny", "v2", training_step.ALL, 1, torch.device("cpu"), drop_path=0.0, **more)
    task = classification.Task(classification.Settings(), [f"class{i}" for i in range(5)])
    classifier = Classifier(step.learner.student.backbone, 5, HeadSettings()).train()
    draw = torch.Generator().manual_seed(0)
    batch = {
        "feats": torch.randn(8, 1, 592, 128, generator=draw),
        "lengths": torch.tensor([592, 592, 400, 300, 200, 592, 100, 16]),
        "targets": torch.arange(8) % 5,
    }
    values = []
    for device in ("cpu", part.device):
        learner = FineTuner(copy.deepcopy(classifier), task, FineTunerSettings(), mean=0, std=1, steps=10).to(device)
        here = {name: value.to(device) for name, value in batch.items()}
        loss = learner.losses(here, 0, torch.Generator(device).manual_seed(0))["loss"]
        loss.backward()
        # A key's bias does not change attention: its gradient is rounding alone.
        gradients = {
            f"gradient of {name}": p.grad
            for name, p in learner.classifier.named_parameters()
            if p.grad is not None and not name.endswith("qkv.bias")
        }
        with torch.inference_mode():
            scores = learner.classifier.eval()(here["feats"], here["lengths"])
        values.append({"loss": loss, "scores": scores, **gradients})
    cpu, found = values
    distances = {name: off(found[name], cpu[name]) for name in cpu}
    for name in ("loss", "scores"):
        part.at_most(f"fine-tuning: {name}", distances.pop(name), EXACT)
    furthest = max(distances, key=lambda name: distances[name])
    part.at_most(f"fine-tuning: {furthest}, the furthest of {len(distances)}", distances[furthest], 1e-3)


def attention(part: Part) -> None:
    """Under bf16, with and without padding, against float32 on the CPU."""
    torch.manual_seed(0)
    layer, x, valid = (
        Attention(192, 3),
        torch.randn(4, 297, 192),
        torch.arange(297) < torch.tensor([[297], [200], [3], [64]]),
    )
    for name, mask in (("", None), (", padded", valid)):
        expected = layer(x, mask)
        moved = copy.deepcopy(layer).to(part.device)
        with torch.autocast(part.device.type, torch.bfloat16):
            found = moved(x.to(part.device), None if mask is None else mask.to(part.device))
        part.at_most(f"attention in bf16{name}", off(found, expected), 2e-2)


def head(part: Part) -> None:
    """Embeddings under bf16 stay bf16, or the local loss multiplies them in float32."""
    head = ProjectionHead(32, 16, 8, (64,), train_gain=True).to(part.device)
    with torch.autocast(part.device.type, torch.bfloat16):
        embeddings = head(*(torch.randn(4, 32, device=part.device) for _ in range(2)))[1]
    part.record("the head's embeddings under bf16", embeddings.dtype == torch.bfloat16, found=str(embeddings.dtype))


def main() -> None:
    """All of it; a failure does not end it."""
    with Part("agreement", "Golden values and agreement with the CPU") as part:
        exact_float32()
        for variant in ("v2",) if part.tiny else ("v1", "v2"):
            with part.going_on(f"golden {variant}, float32"):
                golden(part, variant)
        for check in (corruption, local_loss, attention, head, fine_tuning):
            with part.going_on(check.__name__):
                check(part)
        for variant in () if part.tiny else ("v1", "v2"):  # last: the CPU takes its time
            with part.going_on(f"golden {variant}, bf16"):
                golden_bf16(part, variant)


if __name__ == "__main__":
    main()
