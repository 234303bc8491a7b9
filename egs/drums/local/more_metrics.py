#!/usr/bin/env python3
"""What metrics.json holds beside the primary metric, as a table in Markdown: mean ± deviation over seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.io.atomic import write_text
from asit.metrics.metric import Metric
from asit.recipes import record
from asit.recipes.results import metrics_of

SHOWN = {
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
    "dprime": "d'",
    "onset_f1": "onset F1",
    "segment_f1": "segment F1",
}


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
    declared: dict[str, Metric] = {}
    for path in metrics_of(settings.plan, ""):
        run = record.load(path)
        key = (run.tags["task"], run.tags.get("labels", "all"), run.tags["system"])
        for metric in run.declared:
            if metric.name in SHOWN and math.isfinite(run.metrics.get(metric.name, math.nan)):
                cells[key][metric.name].append(run.metrics[metric.name])
                declared[metric.name] = replace(metric, name=SHOWN[metric.name])
    if not cells:
        raise AsitError(f"{', '.join(settings.plan)}: expected metrics.json files, found none; run the stage score")
    lines = [
        "Metrics beside those of the tables below, mean ± sample standard deviation (number of seeds):",
        "",
        "| " + " | ".join(["task", "labels", "system", *(metric.title for metric in declared.values())]) + " |",
        "|" + "---|" * (3 + len(declared)),
    ]
    for key in sorted(cells):
        numbers = [metric.spread(cells[key][name]) if cells[key][name] else "–" for name, metric in declared.items()]
        lines.append("| " + " | ".join([*key, *numbers]) + " |")
    write_text(settings.out, "\n".join(lines) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
