"""The training step against the published one: python benchmarks/step.py --part step|levers|memory|growth|attention

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
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import torch
from measure import Result, matrix_product, picture, ratio, take_turns
from training_step import ALL, BLOCKS, COMPILE, LEVERS, PLAIN, Step, difference, flop

from asit.config import Options, option, parse
from asit.layers.attention import Attention, _explicit_attention

functional = torch.nn.functional
BATCH = {"tiny": 4, "small": 2, "base": 2}
MEMORY_BATCHES = {"tiny": (8,), "small": (4,), "base": (2, 4)}


@dataclass(frozen=True)
class Settings(Options):
    """Time and memory of training steps, plain and fast, in turns."""

    part: str = option("step", "which table", ["step", "levers", "memory", "growth", "attention", "one"])
    sizes: tuple[str, ...] = option(("tiny", "small", "base"), "models")
    variants: tuple[str, ...] = option(("v1", "v2"), "released variants")
    rounds: int = option(3, "rounds; each candidate makes one step in each", least=1)
    threads: int = option(1, "CPU threads", least=1)
    batch: int = option(0, "clips; 0: a few, by size", least=0)
    levers: tuple[str, ...] = option((), "levers of --part one, which prints the peak memory of this process")


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
        notes=[
            "Speed over the plain step; 'all' is all of them together, what asit-pretrain does by default.",
            "The local loss and `--checkpoint-blocks` are for memory: see peak memory.",
        ],
    )  # fmt: skip
    rows = {name: [LEVERS[name]] for name in LEVERS} | {
        "all": ["all"],
        COMPILE: ["`--compile true` (default: false); right: with all others"],
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
        ["model, variant", "clips", "plain, MiB", "fast, MiB", "ratio", "--checkpoint-blocks true, MiB", "ratio",
         "the process before, MiB"],
        notes=[
            "Largest resident set of a process that makes two steps; Python and torch are included in all columns.",
            "Weights, gradients, moments and teacher, in float32, are in all columns: of base five times 95 million "
            "numbers, 1,820 MiB, so with the process before 2,043 MiB at least, two thirds of the plain step of v1 at "
            "2 clips.",
        ],
    )  # fmt: skip
    for size in settings.sizes:
        for variant in settings.variants:
            for batch in (settings.batch,) if settings.batch else MEMORY_BATCHES[size]:
                chosen = (PLAIN, ALL, ALL | {BLOCKS})
                found = [_peak(size, variant, batch, levers) for levers in chosen]
                (plain, before), (fast, _), (least, _) = found
                cells = [plain, fast, fast / plain, least, least / plain, before]
                shown = [f"{cell:.2f}" if cell < 10 else f"{cell:.0f}" for cell in cells]
                result.rows.append([f"{size}, {variant}", str(batch), *shown])
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


def attention(settings: Settings, device: torch.device) -> Result:
    """Forward and backward of one layer in bf16 on a CPU: two products and a softmax against torch's fused kernel."""
    result = Result(
        "attention",
        "Attention on a CPU in bf16",
        ["clips x tokens, width", "by hand, ms", "torch's kernel, ms", "torch's over by hand"],
        notes=["Forward and backward of one layer. By hand is what `asit/layers/attention.py` does there; elsewhere it "
               "takes torch's kernel."],
    )  # fmt: skip
    for clips, tokens, width in ((64, 17, 192), (64, 25, 192), (64, 65, 192), (8, 297, 192), (4, 297, 768)):
        layer, x = Attention(width, width // 64), torch.randn(clips, tokens, width, requires_grad=True)

        def by(kernel: Callable[..., torch.Tensor], layer: Attention = layer, x: torch.Tensor = x) -> None:
            with torch.autocast("cpu", torch.bfloat16), mock.patch("asit.layers.attention._explicit_attention", kernel):
                found = layer(x)
            found.float().sum().backward()

        def fused(qkv: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
            return functional.scaled_dot_product_attention(*qkv, attn_mask=mask)

        turns = {"hand": lambda by=by: by(_explicit_attention), "torch": lambda by=by, fused=fused: by(fused)}
        times = take_turns(turns, settings.rounds, device)
        shown = [f"{1000 * statistics.median(times[name]):.1f}" for name in turns]
        result.rows.append([f"{clips} x {tokens}, {width}", *shown, f"{ratio(times, 'torch', 'hand'):.2f}"])
    return result


def main() -> None:
    """Run one part and save its table."""
    settings = parse(Settings)
    torch.set_num_threads(settings.threads)
    device = torch.device("cpu")
    if settings.part == "one":
        one(settings, device)
        return
    parts = {"step": steps, "levers": levers, "memory": memory, "growth": growth, "attention": attention}
    result = parts[settings.part](settings, device)
    result.save()
    result.print()


if __name__ == "__main__":
    main()
