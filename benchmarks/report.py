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


def report(results: Path) -> str:
    """The whole document."""
    paths = sorted(results.glob("*.json"), key=rank)
    return "\n".join([HEAD, *(section(json.loads(path.read_text(encoding="utf-8"))) for path in paths)])


def main() -> None:
    """Write docs/performance.md."""
    write_text(ROOT / "docs" / "performance.md", report(ROOT / "benchmarks" / "results").rstrip() + "\n")


if __name__ == "__main__":
    main()
