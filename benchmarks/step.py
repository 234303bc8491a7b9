"""The training step against the published one: python benchmarks/step.py --part step|levers|memory|growth|gpu

Both train the same network on inputs of the same size; ``plain`` does it as the published code does (plain.py),
``fast`` as asit-pretrain with --precision auto. The tables show medians of their ratio, the losses' difference at the
same weights, views and masks, and the machine's matrix peak measured in the same turns.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import resource
import statistics
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import torch
from measure import Result, matrix_product, picture, ratio, take_turns
from plain import average_one_by_one, clip_one_by_one, plain_adamw, published_corruption
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from asit.config import from_dict, option, parse
from asit.layers import recompute
from asit.methods import asit
from asit.schedules import Constant
from asit.train.clipping import clip_gradients
from asit.train.compiling import compile_blocks
from asit.train.optimizer import Optimizer
from asit.train.param_groups import param_groups
from asit.train.settings import TrainSettings

MELS, LOCAL_FRAMES, LOCAL_CROPS = 128, 192, 4
VARIANTS: dict[str, dict] = {
    "v1": {
        "cls_prototypes": 8192, "patch_prototypes": 1024, "train_gain": False, "rec_hidden": 768, "rec_bottleneck": 128,
        "global_weight": 1.0, "local_weight": 1.0, "reconstruction_weight": 2.0, "drop_ratio": 0.7,
    },
    "v2": {},
}  # fmt: skip
LEVERS = {
    "bf16": "bf16 autocast",
    "attention": "attention kernel by device and precision",
    "chunked": "chunked local loss",
    "adamw": "fused AdamW",
    "foreach": "clipping and teacher by foreach",
    "masks": "corruption of a batch on the device",
    "recompute": "recompute: cheap",
    "packed": "global and local views in one pass (v2)",
}
ALL = frozenset(LEVERS)
COMPILE = "compile"  # beside them: not a default
PLAIN: frozenset[str] = frozenset()
BATCH = {"tiny": 4, "small": 2, "base": 2}
MEMORY_BATCH = {"tiny": 8, "small": 4, "base": 2}


@dataclass(frozen=True)
class Settings:
    """Time and memory of training steps, plain and fast, in turns."""

    part: str = option("step", "which table", ["step", "levers", "memory", "growth", "gpu", "one"])
    sizes: tuple[str, ...] = option(("tiny", "small", "base"), "models")
    variants: tuple[str, ...] = option(("v1", "v2"), "released variants")
    rounds: int = option(3, "rounds; each candidate makes one step in each", least=1)
    threads: int = option(1, "CPU threads", least=1)
    batch: int = option(0, "clips; 0: a few, by size", least=0)
    levers: tuple[str, ...] = option((), "levers of --part one, which prints the peak memory of this process")


class Step:
    """A learner with everything around it; calling it makes one update."""

    def __init__(
        self,
        size: str,
        variant: str,
        levers: frozenset[str],
        batch: int,
        device: torch.device,
        frames: int = 592,
        **more: object,
    ) -> None:
        self.levers, self.device = levers, device
        torch.manual_seed(0)
        options = {"size": size, "attention": "auto" if "attention" in levers else "explicit", **VARIANTS[variant]}
        settings = from_dict(asit.Settings, {**options, "chunked_loss": "chunked" in levers,
                                            "pack_views": "packed" in levers, **more})  # fmt: skip
        self.learner = asit.build(settings, frames, MELS, 1000, 100).train().to(device)
        recompute.choose(self.learner, "cheap" if "recompute" in levers else "nothing")
        if COMPILE in levers:
            compile_blocks(self.learner)
        self.masking = settings.masking.settings
        groups = param_groups(self.learner.trained_module())
        self.optimizer = Optimizer(groups, TrainSettings(), Constant(1e-4), Constant(0.04))
        self.plain = plain_adamw([{"params": g["params"], "weight_decay": 0.04 * g["decay"]} for g in groups])
        self.generator = torch.Generator(device).manual_seed(0)
        self.random = np.random.default_rng(0)
        draw = torch.Generator().manual_seed(1)
        self.crops = 0.5 * torch.randn(2, batch, 1, frames, MELS, generator=draw)
        self.batch: dict[str, object] = {"global_crops": self.crops.to(device)}
        if variant == "v2":
            local = 0.5 * torch.randn(LOCAL_CROPS, batch, 1, LOCAL_FRAMES, MELS, generator=draw)
            self.batch["local_crops"] = local.to(device)

    def losses(self, step: int = 200) -> dict[str, Tensor]:
        """Forward pass, with masks by either way."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled="bf16" in self.levers):
            if "masks" in self.levers:
                return self.learner.losses(self.batch, step, self.generator)
            ratios = self.masking.drop_ratio, self.masking.replace_ratio
            views = [published_corruption(view.numpy(), *ratios, self.random) for view in self.crops]
            corrupted, mask = (torch.from_numpy(np.concatenate(x)).to(self.device) for x in zip(*views, strict=True))
            clean = self.batch["global_crops"].flatten(0, 1)
            return self.learner.losses_of_views(clean, corrupted, mask, self.batch.get("local_crops"), step)

    def __call__(self, step: int = 200) -> None:
        """One update."""
        student, teacher = self.learner.student, self.learner.teacher
        self.optimizer.zero_grad()
        self.losses(step)["loss"].backward()
        if "foreach" in self.levers:
            clip_gradients(self.optimizer.gradients(), 3.0)
        else:
            clip_one_by_one(student.parameters(), 3.0)
        self.learner.before_update(step)
        if "adamw" in self.levers:
            self.optimizer.update(step, torch.zeros((), device=self.device))
        else:
            self.plain.step()
        if "foreach" in self.levers:
            self.learner.after_update(step)
        else:
            momentum = self.learner.teacher_momentum[step]
            average_one_by_one(teacher.network.parameters(), student.parameters(), momentum)


def flop(size: str, variant: str, batch: int) -> float:
    """Floating-point operations of a step's matrix products, counted on one clip."""
    step = Step(size, variant, PLAIN, 1, torch.device("cpu"))
    with FlopCounterMode(display=False) as counter:
        step.losses()["loss"].backward()
    return batch * counter.get_total_flops()


def difference(size: str, variant: str, levers: frozenset[str], batch: int, device: torch.device) -> float:
    """Largest absolute difference of a loss between the plain step and another at the same weights and masks."""
    values = []
    for chosen in (PLAIN, levers):
        step = Step(size, variant, chosen, batch, device, drop_path=0.0)
        generator = torch.Generator().manual_seed(3)
        views = [step.learner._corrupt(view.cpu(), step.masking, generator) for view in step.batch["global_crops"]]
        corrupted, mask = (torch.cat(x).to(device) for x in zip(*views, strict=True))
        local, clean = step.batch.get("local_crops"), step.batch["global_crops"].flatten(0, 1)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled="bf16" in chosen):
            losses = step.learner.losses_of_views(clean, corrupted, mask, local, 200)
        values.append([losses[name].item() for name in ("global", "local", "reconstruction", "loss")])
    return max(abs(a - b) for a, b in zip(*values, strict=True))


def steps(settings: Settings, device: torch.device) -> Result:
    """The table of ratios."""
    result = Result(
        "step",
        "Training step, 592 x 128",
        ["model, variant", "clips", "plain, clips/s", "fast, clips/s", "ratio", "loss off, fp32", "loss off, bf16",
         "peak fp32, GFLOP/s", "peak bf16", "plain, share", "fast, share"],
        notes=[
            "plain: the published step (float32, eager, explicit attention, whole logits, masks clip by clip, AdamW, "
            "clipping and teacher in loops); fast: asit-pretrain with --precision auto. A clip is two crops; v2 has "
            "four local crops more. One step is one update, masks included.",
            "loss off: largest absolute difference of any loss from the plain one at the same weights, views, masks.",
            "peak: product of two 2048 x 2048 matrices in the same turns; share: counted operations of the step's "
            "matrix products over time, as a share of the peak in float32 (plain) and bf16 (fast).",
        ],
    )  # fmt: skip
    for size in settings.sizes:
        for variant in settings.variants:
            batch = settings.batch or BATCH[size]
            products = {name: matrix_product(kind, device) for name, kind in
                        (("fp32", torch.float32), ("bf16", torch.bfloat16))}  # fmt: skip
            plain, fast = (Step(size, variant, levers, batch, device) for levers in (PLAIN, ALL))
            turns = {"plain": plain, "fast": fast, **{name: run for name, (run, _) in products.items()}}
            times = take_turns(turns, settings.rounds, device)
            del plain, fast, turns
            median = {name: statistics.median(values) for name, values in times.items()}
            peak = {name: operations / median[name] for name, (_, operations) in products.items()}
            work = flop(size, variant, batch)
            off = [difference(size, variant, levers, batch, device) for levers in (ALL - {"bf16"}, ALL)]
            result.rows.append(
                [f"{size}, {variant}", str(batch), f"{batch / median['plain']:.2f}", f"{batch / median['fast']:.2f}",
                 f"{ratio(times, 'plain', 'fast'):.2f}", f"{off[0]:.0e}", f"{off[1]:.0e}", f"{peak['fp32'] / 1e9:.0f}",
                 f"{peak['bf16'] / 1e9:.0f}", f"{work / median['plain'] / peak['fp32']:.0%}",
                 f"{work / median['fast'] / peak['bf16']:.0%}"]
            )  # fmt: skip
            result.save()
    return result


def levers(settings: Settings, device: torch.device) -> Result:
    """What each lever gives, alone and beside all others."""
    result = Result(
        "levers",
        "Levers of the training step",
        ["lever", *(f"{s}, {v}: {what}" for s in settings.sizes for v in settings.variants
                    for what in ("plain with it", "all without it"))],
        notes=["Speed over the plain step; 'all' is all of them together, what asit-pretrain does by default."],
    )  # fmt: skip
    rows = {name: [LEVERS[name]] for name in LEVERS} | {
        "all": ["all"],
        COMPILE: ["torch.compile of the blocks; right: with all others"],
    }
    for size in settings.sizes:
        for variant in settings.variants:
            batch = settings.batch or BATCH[size]
            sets = {"plain": PLAIN, "all": ALL}
            for name in LEVERS:
                sets |= {f"+{name}": frozenset({name}), f"-{name}": ALL - {name}}
            sets |= {f"+{COMPILE}": frozenset({COMPILE}), f"{COMPILE} too": ALL | {COMPILE}}
            turns = {name: Step(size, variant, chosen, batch, device) for name, chosen in sets.items()}
            times = take_turns(turns, settings.rounds, device)
            for name in LEVERS:
                rows[name] += [f"{ratio(times, 'plain', f'+{name}'):.2f}", f"{ratio(times, 'plain', f'-{name}'):.2f}"]
            rows["all"] += ["", f"{ratio(times, 'plain', 'all'):.2f}"]
            both = f"+{COMPILE}", f"{COMPILE} too"
            rows[COMPILE] += [f"{ratio(times, 'plain', name):.2f}" for name in both]
    result.rows = list(rows.values())
    return result


def memory(settings: Settings, _: torch.device) -> Result:
    """Peak memory of a process that makes two steps, each in a process of its own."""
    result = Result(
        "memory",
        "Peak memory of the training step",
        ["model, variant", "clips", "plain, MiB", "fast, MiB", "ratio", "the process before, MiB"],
        notes=["Largest resident set of a process that makes two steps; Python and torch are included in all columns."],
    )
    for size in settings.sizes:
        for variant in settings.variants:
            batch = settings.batch or MEMORY_BATCH[size]
            found = [_peak(size, variant, batch, chosen) for chosen in (PLAIN, ALL)]
            (plain, before), (fast, _) = found
            result.rows.append(
                [
                    f"{size}, {variant}",
                    str(batch),
                    f"{plain:.0f}",
                    f"{fast:.0f}",
                    f"{fast / plain:.2f}",
                    f"{before:.0f}",
                ]
            )
            result.save()
    return result


def _peak(size: str, variant: str, batch: int, chosen: frozenset[str]) -> tuple[float, float]:
    words = [sys.executable, __file__, "--part", "one", "--sizes", size, "--variants", variant, "--batch", str(batch)]
    words += ["--levers", *sorted(chosen)] if chosen else []
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    peak, before = json.loads(done.stdout)
    return peak, before


def one(settings: Settings, device: torch.device) -> None:
    """Print this process's peak memory after and before two steps, in MiB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = Step(settings.sizes[0], settings.variants[0], frozenset(settings.levers), settings.batch, device)
    for _ in range(2):
        step()
    print(json.dumps([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, before / 1024]))


def growth(settings: Settings, device: torch.device) -> Result:
    """Cost of a clip over its length, the batch and the width."""
    result = Result(
        "step_growth",
        "Training step as the work grows",
        ["v1, tiny but for the last", "value", "plain, s a clip", "fast, s a clip", "ratio"],
    )
    plans: dict[str, list[tuple[int, dict]]] = {
        "frames": [(t, {"frames": t, "batch": 1}) for t in (192, 400, 592, 1024)],
        "clips": [(b, {"batch": b}) for b in (1, 2, 4)],
        "width": [(d, {"batch": 1, "embed_dim": d, "heads": d // 64}) for d in (192, 384, 768)],
    }
    labels = {"frames": "frames of a crop", "clips": "clips in a batch", "width": "width D, 12 blocks"}
    for what, points in plans.items():
        lines: dict[str, list[float]] = {"plain": [], "fast": []}
        for value, options in points:
            turns = {
                name: Step("tiny", "v1", chosen, device=device, **options)
                for name, chosen in (("plain", PLAIN), ("fast", ALL))
            }
            times = take_turns(turns, settings.rounds, device)
            seconds = {name: statistics.median(values) / options["batch"] for name, values in times.items()}
            for name, line in lines.items():
                line.append(seconds[name])
            numbers = [f"{seconds['plain']:.3f}", f"{seconds['fast']:.3f}", f"{ratio(times, 'plain', 'fast'):.2f}"]
            result.rows.append([labels[what], str(value), *numbers])
        across = [value for value, _ in points]
        caption = f"Seconds of CPU time a clip over the {labels[what]}"
        series = {name: (across, line) for name, line in lines.items()}
        result.figures.append(picture(f"step_{what}.png", caption, series, labels[what], "s a clip"))
    return result


def gpu(settings: Settings, _: torch.device) -> Result:
    """The same on a GPU, at the batch that is fastest."""
    result = Result(
        "step_gpu",
        "Training step on a GPU",
        [
            "model, variant",
            "clips",
            "plain, clips/s",
            "fast, clips/s",
            "ratio",
            "bf16 peak, TFLOP/s",
            "share of the peak",
        ],
    )
    if not torch.cuda.is_available():
        result.rows = [[f"{s}, {v}", "not run: no GPU on this machine", *[""] * 5]
                       for s in settings.sizes for v in settings.variants]  # fmt: skip
        return result
    device = torch.device("cuda")
    for size in settings.sizes:
        for variant in settings.variants:
            best, batch = 0.0, 8
            product, operations = matrix_product(torch.bfloat16, device)
            row: list[str] = []
            while True:
                try:
                    fast = Step(size, variant, ALL, batch, device)
                    times = take_turns({"fast": fast, "product": product}, settings.rounds, device, warm_up=3)
                except torch.cuda.OutOfMemoryError:
                    break
                speed = batch / statistics.median(times["fast"])
                if speed <= 1.03 * best:
                    break
                best = speed
                peak = operations / statistics.median(times["product"])
                share = speed * flop(size, variant, 1) / peak
                row = [f"{size}, {variant}", str(batch), "", f"{speed:.0f}", "", f"{peak / 1e12:.0f}", f"{share:.0%}"]
                batch *= 2
            small = BATCH[size] * 4
            turns = {
                name: Step(size, variant, chosen, small, device) for name, chosen in (("plain", PLAIN), ("fast", ALL))
            }
            times = take_turns(turns, settings.rounds, device, warm_up=3)
            row[2], row[4] = f"{small / statistics.median(times['plain']):.0f}", f"{ratio(times, 'plain', 'fast'):.2f}"
            result.rows.append(row)
    return result


def main() -> None:
    """Run one part and save its table."""
    settings = parse(Settings)
    torch.set_num_threads(settings.threads)
    device = torch.device("cuda" if settings.part == "gpu" and torch.cuda.is_available() else "cpu")
    if settings.part == "one":
        one(settings, device)
        return
    parts = {"step": steps, "levers": levers, "memory": memory, "growth": growth, "gpu": gpu}
    result = parts[settings.part](settings, device)
    result.save()
    result.print()


if __name__ == "__main__":
    main()
