#!/usr/bin/env python3
"""docs/ablations.png and docs/ablations.md: which part of the pretraining pays, from egs/*/RESULTS_ablation.md.

The picture carries the numbers it shows, so that a test sees when they differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from asit.errors import AsitError

ROOT = Path(__file__).resolve().parents[2]
PICTURE, PAGE = ROOT / "docs/ablations.png", ROOT / "docs/ablations.md"
COLOURS = {
    "pretrained": "#0072b2",
    "linear probe": "#009e73",
    "k nearest neighbours": "#cc79a7",
    "from scratch": "#d55e00",
}
HEAD = """# Ablations

Written by `tools/dev/document_ablations.py` from the tables of `egs/*/RESULTS_ablation.md`, which the commands below
leave. Rows are pretrainings that differ from `all`, the recipe's own, in what their name says (`conf/ablation.yaml` of
the recipe has the options); columns are what is made of them: *pretrained*, all weights fine-tuned; *linear probe*, a
linear layer on the frozen backbone; *k nearest neighbours*, among the labelled clips, nothing trained. *Folds* are
draws of the labelled clips.

![Accuracy by pretraining, fine-tuned, by linear probe and by neighbours](ablations.png)

## What they say

Nine words, 152 labels, 2,000 updates (a sixth of the recipe's length), one seed of the pretrainings, two draws of the
labels; differences under two points say nothing.

- **What the corrupted blocks become matters most.** Holes of zeros, or blocks of zeros and of another clip mixed as
  published, gain five points over random weights; blocks of another clip alone, and stripes over all bins, lose two.
- **Reconstruction carries a short pretraining**: alone it is as good as all three losses. Without it the local loss
  gains three points, with or without the global one, which gains nothing alone. In longer runs the whole is ahead:
  after 12,000 updates 91.2 % with all three, 87.7 % with reconstruction alone (one seed, validation clips;
  `conf/pretrain_words.yaml`).
- **Blocks aligned to the patches in time** are the best row of all three columns or close to it, within the noise of
  this table: something to try in long runs.
- The drop ratio hardly matters, nor whether every bin is reconstructed.
- The published settings of v2, made for two million clips, gain one point here, and an update takes three times as
  long: 8,192 prototypes for every patch.
- **Frozen features rank otherwise than fine-tuned ones**: no probe comes near to fine-tuning with so few labels.
"""


@dataclass(frozen=True)
class Table:
    """One task of a recipe: for each pretraining, in the report's order, the mean and the deviation by system."""

    recipe: str
    task: str
    caption: str
    values: dict[str, dict[str, tuple[float, float]]]
    command: str


def tables(recipe: str, text: str) -> list[Table]:
    """The tasks of one RESULTS_ablation.md."""
    found = []
    called = re.search(r"^- command: `(.*)`$", text, re.MULTILINE)
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        head, *rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in part.splitlines()
            if line.startswith("|") and "---" not in line
        ] or [[""]]
        if head[0] != "pretraining":
            continue
        systems = [re.sub(r"^system | \(\d+ clips\)$", "", cell) for cell in head[1:]]
        values = {}
        for name, *cells in rows:
            numbers = {
                system: re.match(r"([\d.]+) ± ([\d.]+)", cell) for system, cell in zip(systems, cells, strict=True)
            }
            if any(numbers.values()):  # not the guesses below
                values[name] = {system: (float(n[1]), float(n[2])) for system, n in numbers.items() if n}
        caption = next(line for line in part.splitlines()[1:] if line)
        found.append(Table(recipe, part.split("\n", 1)[0], caption, values, called[1] if called else ""))
    return found


def all_tables() -> list[Table]:
    """Those of every recipe.

    Raises:
        AsitError: there is none.
    """
    files = sorted(ROOT.glob("egs/*/RESULTS_ablation.md"))
    found = [table for file in files for table in tables(file.parent.name, file.read_text(encoding="utf-8"))]
    if not found:
        raise AsitError(f"{ROOT}/egs/*/RESULTS_ablation.md: no table with the rows of pretrainings")
    return found


def draw(found: list[Table]) -> pyplot.Figure:
    """One panel a task, a row a pretraining, the best fine-tuned one at the top; the dashed line is without any."""
    most = max(len(table.values) for table in found)
    figure, axes = pyplot.subplots(1, len(found), figsize=(7 * len(found), 1.2 + 0.3 * most), squeeze=False)
    for axis, table in zip(axes.flat, found, strict=True):
        rows = sorted(
            (name for name in table.values if "pretrained" in table.values[name]),
            key=lambda name: table.values[name]["pretrained"][0],
        )
        for place, name in enumerate(rows):
            for system, (mean, deviation) in table.values[name].items():
                axis.errorbar(mean, place, xerr=deviation, color=COLOURS[system], marker="o", capsize=3, label=system)
        for name in table.values.keys() - set(rows):
            for system, (mean, _) in table.values[name].items():
                axis.axvline(mean, color=COLOURS[system], linestyle="--", label=system)
        axis.set_yticks(range(len(rows)), rows)
        axis.set_title(f"{table.recipe}: {table.task}", fontsize=10, fontweight="bold")
        axis.set_xlabel(table.caption.split(",")[0])
        axis.grid(axis="x", color="#dddddd")
        axis.set_axisbelow(True)
        handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        names = [name for name in COLOURS if name in handles]
        axis.legend([handles[name] for name in names], names, ncols=2, loc="upper center", bbox_to_anchor=(0.4, -0.1))
    figure.tight_layout()
    return figure


def page(found: list[Table]) -> str:
    """docs/ablations.md."""
    lines = [HEAD]
    for table in found:
        columns = [system for system in COLOURS if any(system in row for row in table.values.values())]
        lines += [f"## [{table.recipe}](../egs/{table.recipe}/README.md): {table.task}", "", table.caption, ""]
        lines += ["| pretraining | " + " | ".join(columns) + " |", "|---" * (1 + len(columns)) + "|"]
        for name, row in table.values.items():
            cells = ["{:.1f} ± {:.1f}".format(*row[system]) if system in row else "" for system in columns]
            lines.append("| " + " | ".join([name, *cells]) + " |")
        lines += ["", f"`{table.command}`", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    every = all_tables()
    draw(every).savefig(PICTURE, dpi=110, metadata={"Description": repr(every)})
    PAGE.write_text(page(every), encoding="utf-8")
