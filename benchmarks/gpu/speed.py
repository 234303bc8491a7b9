"""Part speed of benchmarks/gpu.sh: the training step at its best batch, each lever's gain, and the loader's wait.

Goes from base to tiny, and leaves out what its time does not suffice for.
"""

from __future__ import annotations

import itertools
import shlex
import statistics
import tempfile
from pathlib import Path

import torch
from part import Part, Table, call

# isort: split
from measure import matrix_product, ratio, take_turns
from small_pool import make_pool
from training_step import ALL, COMPILE, GRAPHS, LEVERS, PLAIN, TOY, VARIANTS, Step, flop

from asit.recipes import job_list
from asit.train.run_log import read_metrics

ORDER = [("base", "v2"), ("base", "v1"), ("tiny", "v2"), ("small", "v2"), ("small", "v1"), ("tiny", "v1")]
AMP = frozenset({"bf16"})
SHARE, WAIT = 0.45, 0.02  # targets: base's share of the bf16 peak, and of a step's time spent waiting for data
FIRST, PLAIN_CLIPS = 16, 32  # the plain step draws its masks clip by clip on the host: a large batch would time those
RESERVE = 20  # seconds


def memory(device: torch.device) -> str:
    """GiB at most since the last call."""
    if device.type == "cpu":
        return ""
    most = torch.cuda.max_memory_allocated(device) / 2**30
    torch.cuda.reset_peak_memory_stats(device)
    return f"{most:.1f}"


def fastest(part: Part, size: str, variant: str, more: dict) -> tuple[int, float, float, str]:
    """(clips, clips/s, bf16 peak in operations/s, GiB) of the fast step at the batch where doubling stops paying."""
    product, operations = matrix_product(torch.bfloat16, part.device)
    best, batch = (0, 0.0, 1.0, ""), 2 if part.tiny else FIRST
    while True:
        try:
            if part.on_gpu:
                torch.cuda.empty_cache()
            memory(part.device)
            step = Step(size, variant, ALL, batch, part.device, **more)
            turns = {"step": step, "product": product}
            times = take_turns(turns, 2 if part.tiny else 5, part.device, warm_up=1 if part.tiny else 3)
        except torch.cuda.OutOfMemoryError:
            return best
        seconds, peak = statistics.median(times["step"]), operations / statistics.median(times["product"])
        if batch / seconds <= 1.03 * best[1]:
            return best
        best = (batch, batch / seconds, peak, memory(part.device))
        del step, turns
        batch *= 2
        if part.left() < RESERVE or (part.tiny and batch > 4):
            return best


def steps(part: Part, table: Table, size: str, variant: str, more: dict) -> int:
    """A row of the step table; the best batch."""
    batch, speed, peak, most = fastest(part, size, variant, more)
    few = min(batch, PLAIN_CLIPS)
    sets = {"float32": PLAIN, "amp": AMP, "fast": ALL}
    turns = {name: Step(size, variant, levers, few, part.device, **more) for name, levers in sets.items()}
    times = take_turns(turns, 2 if part.tiny else 3, part.device)
    plain, amp = (f"{few / statistics.median(times[name]):.0f}" for name in ("float32", "amp"))
    share = speed * flop(size, variant, 1, part.device, **more) / peak
    table.rows.append([f"{size}, {variant}", str(batch), f"{speed:.0f}", f"{share:.0%}", most, str(few), plain, amp,
                       f"{ratio(times, 'float32', 'fast'):.2f}", f"{ratio(times, 'amp', 'fast'):.2f}"])  # fmt: skip
    part.fact(f"{size}, {variant}: bf16 peak, TFLOP/s", round(peak / 1e12, 1))
    if size == "base" and not part.tiny:
        part.record(f"base, {variant}: share of the bf16 peak", share >= SHARE, found=round(share, 3), at_least=SHARE)
    return batch


def levers(part: Part, size: str, variant: str, best: int, more: dict) -> None:
    """What each lever gives beside all others, and what compiling adds."""
    rounds, batch = 2 if part.tiny else 5, min(best, PLAIN_CLIPS)
    title = f"Levers of the step, {size}, {variant}, {batch} clips"
    table = Table(f"gpu_levers_{size}", title, ["lever", "speed with all, over all without it"])
    part.tables.append(table)
    whole = Step(size, variant, ALL, batch, part.device, **more)
    for name, words in LEVERS.items():
        with part.going_on(f"lever {name}"):
            turns = {"all": whole, "less": Step(size, variant, ALL - {name}, batch, part.device, **more)}
            few = 2 if name == "masks" else rounds
            table.rows.append([words, f"{ratio(take_turns(turns, few, part.device), 'less', 'all'):.2f}"])
    # Each rate of drop path is a version of a block's code, which would take minutes to compile.
    more = {**more, "drop_path": 0.0}
    half = max(1, best // 2)  # two networks at a time have to fit
    for (name, words), batch in itertools.product(
        ((COMPILE, "torch.compile of the blocks (`--compile true`)"), (GRAPHS, "the same, as CUDA graphs")),
        (half, min(half, PLAIN_CLIPS)),
    ):
        if part.tiny or part.left() < 3 * RESERVE:
            part.fact(f"lever {name}", "not run: " + ("toy sizes" if part.tiny else "no time left"))
            continue
        with part.going_on(f"lever {name}"):
            sets = {"with": ALL | {name}, "all": ALL}
            turns = {what: Step(size, variant, some, batch, part.device, **more) for what, some in sets.items()}
            times = take_turns(turns, rounds, part.device, warm_up=3)
            table.rows.append([f"{words}, {batch} clips", f"{ratio(times, 'all', 'with'):.2f}"])
            del turns
    part.save()


def loading(part: Part, size: str, variant: str, batch: int) -> None:
    """The share of a real training's time that it waits for crops from archives on local disk."""
    updates, every = (4, 2) if part.tiny else (24, 8)
    options = {"size": size, **VARIANTS[variant], **(TOY if part.tiny else {})}
    options |= {"global_frames": 64 if part.tiny else 592, "local_frames": 32 if part.tiny else 192}
    options |= {"local_crops": 4 if variant == "v2" else 0, "batch_size": batch, "steps": updates, "warmup": 1}
    options |= {"log_every": every, "num_workers": 1 if part.tiny else 12, "ngpu": int(part.on_gpu)}
    options |= {"tensorboard": "false"}
    with tempfile.TemporaryDirectory() as home:
        frames = (100, 101) if part.tiny else (998, 999)
        make_pool(Path(home) / "pool", clips=2 * batch, mels=128, frames=frames)
        words = shlex.split(job_list.line("asit-pretrain", options))
        call("pretrain", [*words[1:], "--data-dir", f"{home}/pool", "--out-dir", f"{home}/run"])
        rows = [row for row in read_metrics(Path(home) / "run/metrics.jsonl") if row["kind"] == "train"]
    wait = statistics.median(row["wait_share"] for row in rows[1:])
    name = f"{size}, {variant}, {batch} clips: share of a step's time waiting for data"
    part.at_most(name, wait, 1.0 if part.tiny else WAIT)
    part.fact(f"{size}, {variant}: clips/s of asit-pretrain", round(rows[-1]["clips_per_second"]))


def main() -> None:
    """All sizes, then levers and loading of base v2 and tiny v2."""
    with Part("speed", "Training step at the best batch") as part:
        more = TOY if part.tiny else {}
        table = Table(
            "gpu_step",
            "Training step on a GPU",
            ["model, variant", "best batch", "fast, clips/s", "share of the bf16 peak", "GiB", "batch of the ratios",
             "plain float32, clips/s", "plain AMP, clips/s", "fast / float32", "fast / AMP"],
            notes=["plain: the published step; plain AMP: the same under bf16 autocast; fast: asit-pretrain's."],
        )  # fmt: skip
        part.tables.append(table)
        for size, variant in ORDER[1:3] if part.tiny else ORDER:
            if part.left() < RESERVE:
                part.record(f"{size}, {variant}", False, found="no time left")
                continue
            with part.going_on(f"{size}, {variant}"):
                batch = steps(part, table, size, variant, more)
                if variant == "v2" and size != "small":
                    with part.going_on(f"{size}, {variant}: loading"):
                        loading(part, size, variant, batch)
                    with part.going_on(f"{size}, {variant}: levers"):
                        levers(part, size, variant, batch, more)


if __name__ == "__main__":
    main()
