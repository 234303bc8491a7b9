#!/usr/bin/env python3
"""What metrics.json holds beside the primary metric, as a table in Markdown: mean ± deviation over seeds."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.io.atomic import write_text
from asit.recipes import record
from asit.recipes.results import metrics_of

SHOWN = {"balanced_accuracy": ("balanced accuracy in %", 100), "auc": ("AUC in %", 100), "dprime": ("d'", 1)}


@dataclass(frozen=True)
class MoreSettings(Options):
    """Where the scores are and where the table goes."""

    plan: tuple[str, ...] = option(("exp/plan",), "folders of asit-plan-runs whose runs are shown")
    out: str = option("exp/more_metrics.md", "file to write")


@command
def main() -> None:
    """Write the table."""
    settings = parse(MoreSettings)
    cells: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in metrics_of(settings.plan, ""):
        run = record.load(path)
        key = (run.tags["task"], run.tags.get("labels", "all"), run.tags["system"])
        for name in SHOWN:
            if math.isfinite(run.metrics.get(name, math.nan)):
                cells[key][name].append(run.metrics[name] * SHOWN[name][1])
    if not cells:
        raise AsitError(f"{', '.join(settings.plan)}: expected metrics.json files, found none; run the stage score")
    lines = [
        "Metrics beside those of the tables below, mean ± sample standard deviation over seeds:",
        "",
        "| " + " | ".join(["task", "labels", "system", *(title for title, _ in SHOWN.values())]) + " |",
        "|" + "---|" * (3 + len(SHOWN)),
    ]
    for key in sorted(cells):
        lines.append("| " + " | ".join([*key, *(shown(cells[key][name]) for name in SHOWN)]) + " |")
    write_text(settings.out, "\n".join(lines) + "\n")


def shown(values: list[float]) -> str:
    """``81.2 ± 0.4``.

    >>> shown([1.0, 3.0]), shown([2.0]), shown([])
    ('2.00 ± 1.41', '2.00', '–')
    """
    if not values:
        return "–"
    mean = f"{statistics.fmean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.2f}"


if __name__ == "__main__":
    raise SystemExit(main())
