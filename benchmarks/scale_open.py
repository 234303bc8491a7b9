"""Open a data directory as pretraining or fine-tuning does, load some batches, tell time and memory (for scale.py).

PSS, proportional set size, counts memory that several processes share once over all of them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from asit.config import REQUIRED, Options, option, parse
from asit.data.clips import Clips, collate_clips
from asit.data.crops import Crops, CropSettings, collate_crops
from asit.data.features import Features
from asit.data.loader import Batches
from asit.data.sampler import BatchPlan
from asit.features.stats import Stats
from asit.kaldi.data_dir import DataDir
from asit.runs.finetune import class_weights
from asit.tasks import tagging

BATCHES = 20


@dataclass(frozen=True)
class Settings(Options):
    """Open a data directory and load some batches."""

    data_dir: str = option(REQUIRED, "data directory with features and labels")
    what: str = option("pretrain", "as which command", ["pretrain", "finetune"])
    workers: int = option(4, "loader processes", least=1)
    json: bool = option(False, "print numbers alone, for opening.py")


def pretraining(settings: Settings) -> Batches:
    """As asit-pretrain, with its largest batch."""
    crops = Crops(Features(settings.data_dir), CropSettings(local_crops=4), seed=0)
    plan = BatchPlan(len(crops), batch_size=20, weights=crops.weights)
    return Batches(crops, plan, collate_crops, num_workers=settings.workers)


def finetuning(settings: Settings) -> Batches:
    """As asit-finetune with class-balanced drawing."""
    task = tagging.Task(tagging.Settings(), list(DataDir(settings.data_dir).labels))
    clips = Clips(settings.data_dir, task, Stats(-4.2677393, 4.5689974, 1), frames=1024)
    targets = clips.training_targets()
    plan = BatchPlan(len(targets), batch_size=12, weights=class_weights(targets), epoch_samples=200_000)
    return Batches(clips, plan, collate_clips, num_workers=settings.workers)


def memory(process: int | str, entry: str) -> float:
    """MiB of an entry of /proc/<process>/smaps_rollup."""
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{entry}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    """Print one line."""
    settings = parse(Settings)
    at_first, began, cpu = memory("self", "Rss"), time.monotonic(), time.process_time()
    batches = {"pretrain": pretraining, "finetune": finetuning}[settings.what](settings)
    opened, cpu = time.monotonic() - began, time.process_time() - cpu
    first = together = 0.0
    for number, _ in enumerate(batches.run(0, BATCHES)):
        first = first or time.monotonic() - began
        if number == BATCHES - 1:
            mine = str(os.getpid())
            family = [p.name for p in Path("/proc").glob("[0-9]*") if p.name == mine or _parent(p) == mine]
            together = sum(memory(process, "Pss") for process in family)
    if settings.json:
        now = memory("self", "Rss")
        print(json.dumps({"opened": opened, "cpu": cpu, "first": first, "memory": now, "together": together}))
        return
    print(
        f"{settings.what}: {len(batches.dataset):,} clips, {batches.plan.steps_per_epoch:,} updates an epoch; "
        f"opened in {opened:.1f} s, first batch after {first:.1f} s; {memory('self', 'Rss'):,.0f} MiB, of which "
        f"{at_first:,.0f} were there before; with {settings.workers} loaders {together:,.0f} MiB in all"
    )


def _parent(process: Path) -> str:
    try:
        return process.joinpath("stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return ""  # ended meanwhile


if __name__ == "__main__":
    sys.exit(main())
