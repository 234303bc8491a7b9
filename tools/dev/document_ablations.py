#!/usr/bin/env python3
"""docs/ablations.png and docs/ablations.md: which part of the pretraining pays, from egs/*/RESULTS_ablation.md; and
docs/amounts.png: what hours of audio and minutes of computing are worth, from egs/*/RESULTS_amounts.md.

The pictures carry the numbers they show, so that a test sees when they differ.
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
AMOUNTS = ROOT / "docs/amounts.png"
UPDATES_A_MINUTE = 264  # of 32 crops of 64 frames on one core, as asit-pretrain says while both cores pretrain
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


def all_tables(name: str = "ablation") -> list[Table]:
    """Those of every recipe's RESULTS_<name>.md.

    Raises:
        AsitError: there is none.
    """
    files = sorted(ROOT.glob(f"egs/*/RESULTS_{name}.md"))
    found = [table for file in files for table in tables(file.parent.name, file.read_text(encoding="utf-8"))]
    if not found:
        raise AsitError(f"{ROOT}/egs/*/RESULTS_{name}.md: no table with the rows of pretrainings")
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


def draw_amounts(table: Table) -> pyplot.Figure:
    """Accuracy by hours of audio, for the most usual number of updates, and by updates, for the most hours."""
    named = {name: re.fullmatch(r"([\d.]+) hours, (\d+) updates", name) for name in table.values}
    amounts = {name: (float(match[1]), int(match[2])) for name, match in named.items() if match}
    updates = [count for _, count in amounts.values()]
    usual, most = max(updates, key=updates.count), max(hours for hours, _ in amounts.values())
    of_hours = {amount[0]: table.values[name] for name, amount in amounts.items() if amount[1] == usual}
    of_updates = {amount[1]: table.values[name] for name, amount in amounts.items() if amount[0] == most}
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for axis, points in zip(axes, (of_hours, of_updates), strict=True):
        places = sorted(points)
        for system in [name for name in COLOURS if name in points[places[0]]]:
            means, deviations = zip(*(points[place][system] for place in places), strict=True)
            axis.errorbar(places, means, yerr=deviations, color=COLOURS[system], marker="o", capsize=3, label=system)
        for system, (mean, _) in table.values["none"].items():
            axis.axhline(mean, color=COLOURS[system], linestyle="--", label=system)
        axis.set_xscale("log")
        axis.set_xticks(places, [f"{place:g}" for place in places])
        axis.minorticks_off()
        axis.grid(color="#dddddd")
        axis.set_axisbelow(True)
    axes[0].set_xlabel(f"hours of unlabelled audio ({usual:,} updates)")
    axes[0].set_ylabel(table.caption.split(",")[0])
    axes[1].set_xlabel(f"updates ({most:g} hours of audio)")
    minutes = axes[1].secondary_xaxis("top")
    minutes.set_xticks(places, [f"{place / UPDATES_A_MINUTE:.0f}" for place in places])
    minutes.minorticks_off()
    minutes.set_xlabel("minutes of one core")
    handles, names = axes[1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    figure.suptitle(f"{table.recipe}: {table.task}", fontsize=10, fontweight="bold")
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
    (amounts,) = all_tables("amounts")
    draw_amounts(amounts).savefig(AMOUNTS, dpi=110, metadata={"Description": repr(amounts)})
