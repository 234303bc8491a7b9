"""Make docs/performance.md of benchmarks/results/*.json: python benchmarks/report.py"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asit.io.atomic import write_text

ROOT = Path(__file__).resolve().parents[1]
ORDER = (
    "fbank",
    "features",
    "crops",
    "opening",
    "corruption",
    "step",
    "levers",
    "attention",
    "memory",
    "step_growth",
)  # then the rest by name
HEAD = """# Performance

Made by `python benchmarks/report.py` from `benchmarks/results/*.json`, which the commands below write. Ratios are
medians over rounds in which all candidates take turns. On a CPU, times are CPU time of one thread. The machine was
shared with other work: absolute times differ by a factor of two from run to run, ratios much less, and those under
1.15 are noise. Products in bf16 vary most, two- to threefold, and with them the ratio of the training step: the peak
that was reached in the same turns stands beside it.
"""

GPU = """## On a GPU

`benchmarks/gpu.sh` runs in at most eight minutes on one GPU and needs no network: golden values and losses against the
CPU, a killed run against a whole one, two processes on one GPU, mini end to end, the training step at its best batch
with every lever, the loader's wait, and a profile. Each part writes `benchmarks/results/gpu/<part>.json`, whatever
becomes of the others. `benchmarks/gpu_prepare.sh` downloads beforehand what the machine lacks beside torch and numpy.
All of it can be tried without a GPU, at toy sizes: the head of the script says how.
"""


def section(facts: dict[str, Any]) -> str:
    """One result as Markdown."""
    columns, rows = facts["columns"], facts["rows"]
    lines = [f"## {facts['title']}", ""]
    for row in [columns, ["---"] * len(columns), *rows]:
        lines.append("| " + " | ".join(str(cell) for cell in row) + " |")
    lines.append("")
    for note in facts.get("notes", []):
        lines.append(f"- {note}")
    if facts.get("notes"):
        lines.append("")
    for figure in facts.get("figures", []):
        lines += [f"![{figure['caption']}](performance/{figure['file']})", "", f"{figure['caption']}", ""]
    where = "; ".join(f"{name} {value}" for name, value in facts["machine"].items() if value not in ("", None))
    return "\n".join([*lines, f"`{facts['command']}`  ", f"({where})", ""])


def rank(path: Path) -> tuple[int, str]:
    """The place of a result in the report."""
    return (ORDER.index(path.stem) if path.stem in ORDER else len(ORDER), path.stem)


def on_gpu(folder: Path) -> str:
    """What benchmarks/gpu.sh found, part by part, or that it has not run."""
    parts = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    if not parts:
        return f"{GPU}\nGPU: not run.\n"
    lines = [GPU]
    for facts in parts:
        missed = [check["name"] for check in facts["checks"] if not check["held"]]
        end = f"; not held: {', '.join(missed)}" if missed else ""
        lines.append(f"- {facts['title']}: {facts['status']}, {len(facts['checks'])} checks{end}.")
    tables = [
        {**table, **{key: facts[key] for key in ("command", "machine")}} for facts in parts for table in facts["tables"]
    ]
    return "\n".join([*lines, "", *(section(table) for table in tables)])


def report(results: Path) -> str:
    """The whole document."""
    paths = sorted(results.glob("*.json"), key=rank)
    tables = [section(json.loads(path.read_text(encoding="utf-8"))) for path in paths]
    return "\n".join([HEAD, on_gpu(results / "gpu"), *tables])


def main() -> None:
    """Write docs/performance.md."""
    write_text(ROOT / "docs" / "performance.md", report(ROOT / "benchmarks" / "results").rstrip() + "\n")


if __name__ == "__main__":
    main()
