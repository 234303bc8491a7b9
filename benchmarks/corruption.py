"""Corruption of a batch's views against the published sampler: python benchmarks/corruption.py

The published sampler runs clip by clip in the loader (plain.py); ours draws a whole batch on the device of the
training. Both follow the same rule; tests/unit/masking compares the rates of every patch with the published ones.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
from dataclasses import dataclass

import numpy as np
import torch
from measure import Result, ratio, take_turns
from plain import published_corruption
from step import ALL, Step

from asit.config import Options, option, parse
from asit.masking import gmml


@dataclass(frozen=True)
class Settings(Options):
    """Time of the corruption of one view of a batch, in turns with the training step."""

    batches: tuple[int, ...] = option((2, 8, 32), "clips of a batch")
    share_of: tuple[str, ...] = option(("tiny", "base"), "models whose step is the whole")
    rounds: int = option(15, "rounds", least=1)


def main() -> None:
    """Measure and save."""
    settings = parse(Settings)
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result = Result(
        "corruption",
        "Corruption and views, 592 x 128",
        ["drop ratio", "clips", "published, ms a crop", "here, ms a crop", "ratio"],
        notes=["Masks, blocks of other clips and the corrupted crops; published: in the loader; here: on the device."],
    )
    for drop in (0.5, 0.7):
        for clips in settings.batches:
            crops = torch.randn(clips, 1, 592, 128)
            random, generator = np.random.default_rng(0), torch.Generator(device).manual_seed(0)
            options, on_device, array = gmml.Settings(drop_ratio=drop), crops.to(device), crops.numpy()
            turns = {
                "published": lambda a=array, d=drop, r=random: published_corruption(a, d, 0.3, r),
                "here": lambda c=on_device, o=options, g=generator: gmml.corrupt(c, o, g),
            }
            times = take_turns(turns, settings.rounds, device)
            each = [f"{1000 * statistics.median(times[name]) / clips:.2f}" for name in turns]
            result.rows.append([str(drop), str(clips), *each, f"{ratio(times, 'published', 'here'):.1f}"])
    for size in settings.share_of:
        step = Step(size, "v1", ALL, 1 if size == "base" else 4, device)
        views = step.batch["global_crops"]
        corrupt = {"corruption": lambda s=step, v=views: [gmml.corrupt(view, s.masking, s.generator) for view in v]}
        times = take_turns({"step": step, **corrupt}, 3, device)
        share = ratio(times, "corruption", "step")
        result.notes.append(f"Share of the fast step of {size} with {views.shape[1]} clips: {share:.1%}.")
    result.save()
    result.print()


if __name__ == "__main__":
    main()
