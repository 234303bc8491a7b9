"""What the benchmarks share: turns in one run, medians, the machine's matrix peak, results as JSON.

A result file is ``{"name", "title", "command", "machine", "columns", "rows", "notes", "figures"}``; report.py makes
docs/performance.md of all of them. Numbers on a CPU are CPU time of this process, which other work on the machine
disturbs less than the wall clock; on a GPU they are wall time between synchronisations.
"""

from __future__ import annotations

import json
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from asit.io.atomic import write_text
from asit.recipes.provenance import provenance

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FIGURES = ROOT / "docs" / "performance"
PEAK_SIDE = {"cpu": 2048, "cuda": 8192}  # of the square matrices whose product is the peak


@dataclass
class Result:
    """One table of docs/performance.md."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: list[dict[str, str]] = field(default_factory=list)

    def save(self) -> None:
        """Write benchmarks/results/NAME.json."""
        facts = {"command": command(), "machine": machine(), **asdict(self)}
        RESULTS.mkdir(exist_ok=True)
        write_text(RESULTS / f"{self.name}.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")

    def print(self) -> None:
        """The table as Markdown."""
        print(f"\n{self.title}\n")
        for row in [self.columns, ["---"] * len(self.columns), *self.rows]:
            print("| " + " | ".join(row) + " |")
        print("\n".join(["", *self.notes]))


def command() -> str:
    """The command line, with paths from the repository's root."""
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def machine() -> dict[str, Any]:
    """Where the numbers come from."""
    wanted = ("date", "git", "python", "torch", "cpu", "cores", "ram_gib", "gpu")
    found = provenance()
    facts = {name: found[name] for name in wanted}
    return {**facts, "threads": torch.get_num_threads(), "load": round(os.getloadavg()[0], 1)}


def clock(device: torch.device) -> float:
    """Seconds: CPU time of this process, or on a GPU the time when all its work is done."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def take_turns(
    candidates: Mapping[str, Callable[[], object]], rounds: int, device: torch.device, warm_up: int = 1
) -> dict[str, list[float]]:
    """Seconds of every candidate in every round; each runs once a round, so that all meet the same disturbances."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for i in range(warm_up + rounds):
        for name, run in candidates.items():
            began = clock(device)
            run()
            if i >= warm_up:
                times[name].append(clock(device) - began)
    return times


def ratio(times: Mapping[str, Sequence[float]], of: str, to: str) -> float:
    """Median over the rounds of time(of) / time(to)."""
    return statistics.median(a / b for a, b in zip(times[of], times[to], strict=True))


def matrix_product(dtype: torch.dtype, device: torch.device) -> tuple[Callable[[], object], float]:
    """A product of two square matrices and its floating-point operations: the machine's peak, as torch reaches it."""
    side = PEAK_SIDE[device.type]
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return lambda: a @ b, 2.0 * side**3


def picture(
    file: str, caption: str, series: Mapping[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str
) -> dict[str, str]:
    """Draw lines into docs/performance/FILE; returns the entry for ``Result.figures``."""
    import matplotlib  # which a machine that only measures may lack

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, 3.2), dpi=90)
    for name, (across, up) in series.items():
        axes.plot(across, up, marker="o", markersize=4, label=name)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    FIGURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURES / file, metadata={"Software": None})
    plt.close(figure)
    return {"file": file, "caption": caption}
