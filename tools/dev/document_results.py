#!/usr/bin/env python3
"""docs/results.png and docs/results.md: what pretraining gains in the recipes that have been run, by the number of
labelled clips, and what it took.

Reads the tables of egs/*/RESULTS.md; the picture carries the numbers it shows, so that a test sees when they differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from PIL import Image

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.metrics.error_rate import CER, WER
from asit.recipes.runs_file import read_plan

ROOT = Path(__file__).resolve().parents[2]
ERRORS = (CER.name, WER.name)
PICTURE, PAGE = ROOT / "docs/results.png", ROOT / "docs/results.md"
HEAD = """# Results

Written by `tools/dev/document_results.py` from the tables of `egs/*/RESULTS.md`, which recipes write. Each is on clips
by speakers, kits or folds that were in no training (Mboshi: sentences never heard, by the same three speakers); mean ±
sample standard deviation over seeds (of ESC-50 and ESC-10: over the five folds). Published systems are beside ours in
[egs/README.md](../egs/README.md); what to do with a corpus of yours is in [small_corpus.md](small_corpus.md).

![Accuracy, mAP or error rate with and without pretraining and of a baseline, by labelled clips](results.png)

## What pretraining gains

*Gain* is the better of the pretrained systems over random weights, with the deviations of both added as errors are; a
gain that does not exceed it is in brackets. Of error rates (cer) it is how many points fewer.
"""
REST = """
Drums lose: 1,200 updates on 31 minutes of audio, with settings that nobody has tuned for drums
([egs/drums](../egs/drums/README.md)).

## What audio and computing are worth

![Accuracy by hours of unlabelled audio and by minutes of computing](amounts.png)

Nine words, 152 labels; one seed of the pretrainings, two draws of the labels
([RESULTS_amounts.md](../egs/speechcommands/RESULTS_amounts.md)). Updates are worth more than hours: after 4,000
updates 25 minutes of audio give what 4.2 hours give (78 %), and even the 152 labelled clips alone, two and a half
minutes, gain two points over random weights (73 and 71 %). Two minutes of one core on 4.2 hours gain three points, 15
minutes seven, 45 minutes (12,000 updates, the table above, three seeds) 24. Whether few hours also suffice for so
long a run was not tried.

## What it took

All runs of a recipe together, tries not counted. Minutes are those of the stages' last starts.
"""
SYSTEMS = {
    "pretrained": ("#0072b2", "o"),
    "asit-tiny": ("#009e73", "D"),
    "from scratch": ("#d55e00", "s"),
    "log-mel statistics + logistic regression": ("#7f7f7f", "^"),
}


@dataclass(frozen=True)
class ResultsSettings(Options):
    """Write docs/results.png and docs/results.md, or check that they show the numbers of egs/*/RESULTS.md."""

    check: bool = option(False, "write nothing; fail when picture or page would show other numbers")


@dataclass(frozen=True)
class Table:
    """One task: for each system and amount of labels (fewest first) the mean and the deviation over seeds."""

    recipe: str
    task: str
    metric: str
    clips: tuple[int, ...]
    values: dict[str, tuple[tuple[float, float] | None, ...]]  # None: the system was not run with so many labels


def tables(recipe: str, text: str) -> list[Table]:
    """The tasks of one RESULTS.md that were trained both with and without pretraining."""
    found = []
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        head = re.search(r"^\| system \|(.*)\|$", part, re.MULTILINE)
        clips = [int(count) for count in re.findall(r"\((\d+) clips\)", head[1])] if head else []
        order = sorted(range(len(clips)), key=clips.__getitem__)
        values = {}
        for system in SYSTEMS:
            row = re.search(rf"^\| {re.escape(system)} \|(.*)\|$", part, re.MULTILINE)
            cells = [re.search(r"([\d.]+) ± ([\d.]+)", cell) for cell in row[1].split("|")] if row else []
            if clips and len(cells) == len(clips) and any(cells):
                found_cells = (cells[i] for i in order)
                values[system] = tuple((float(cell[1]), float(cell[2])) if cell else None for cell in found_cells)
        if "from scratch" in values and values.keys() & {"pretrained", "asit-tiny"}:
            metric = re.search(r"^(\S+) in %", part, re.MULTILINE)
            task = part.split("\n", 1)[0]
            found.append(Table(recipe, task, metric[1] if metric else "", tuple(clips[i] for i in order), values))
    return found


def all_tables() -> list[Table]:
    """Those of every recipe's tasks, the tasks with the most amounts of labels first."""
    found = []
    for file in sorted(ROOT.glob("egs/*/RESULTS.md")):
        plans = [read_plan(str(path)) for path in file.parent.glob("conf/runs*.yaml")]
        tasks = {
            table for plan in plans for run in plan.runs for _, table, _ in run.scorings
        }  # a task that has left may be in an older report
        found += [table for table in tables(file.parent.name, file.read_text(encoding="utf-8")) if table.task in tasks]
    if not found:
        raise AsitError(f"{ROOT}/egs/*/RESULTS.md: no table with the rows 'pretrained' and 'from scratch'")
    return sorted(found, key=lambda table: -len(table.clips))


def draw(found: list[Table]) -> pyplot.Figure:
    """One panel a task: marks are means, bars one standard deviation over seeds to either side."""
    columns = (len(found) + 1) // 2
    figure, axes = pyplot.subplots(2, columns, figsize=(2.4 * columns, 5.6), squeeze=False, layout="constrained")
    for axis, table in zip(axes.flat, found, strict=False):
        for place, (system, points) in enumerate(table.values.items()):
            there = [(i, *point) for i, point in enumerate(points) if point]
            at, means, deviations = zip(*there, strict=True)
            x = [i + 0.06 * len(points) * (place - 1) for i in at]
            colour, marker = SYSTEMS[system]
            axis.errorbar(x, means, deviations, color=colour, marker=marker, capsize=3, linewidth=1.3, label=system)
        axis.set_title(f"{table.recipe}\n{table.task}", fontsize=10, fontweight="bold")
        axis.set_xticks(range(len(table.clips)), [f"{count}" for count in table.clips])
        axis.set_xlim(-0.6, len(table.clips) - 0.4)
        axis.set_xlabel("labelled clips")
        axis.set_ylabel(f"{table.metric} in %")
        axis.grid(axis="y", color="#dddddd")
        axis.set_axisbelow(True)
    for axis in axes.flat[len(found) :]:
        axis.axis("off")
    every = [axis.get_legend_handles_labels() for axis in axes.flat]
    shown = {name: handle for handles, names in every for handle, name in zip(handles, names, strict=True)}
    names, handles = zip(*((name, shown[name]) for name in SYSTEMS if name in shown), strict=True)
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=11)
    return figure


def gain(values: dict[str, tuple[tuple[float, float] | None, ...]], place: int, metric: str = "accuracy") -> str:
    """The best pretrained system over random weights, with so many labels; of error rates, how many points fewer.

    >>> gain({"pretrained": ((91.6, 1.3),), "asit-tiny": ((94.8, 0.9),), "from scratch": ((88.4, 3.1),)}, 0)
    '+6.4 ± 3.2'
    >>> gain({"pretrained": ((89.0, 1.0),), "from scratch": ((88.4, 3.1),)}, 0)
    '(+0.6 ± 3.3)'
    >>> gain({"asit-tiny": ((30.1, 0.3),), "from scratch": ((37.6, 0.4),)}, 0, "cer")
    '+7.5 ± 0.5'
    """
    tried = [values[name][place] for name in ("pretrained", "asit-tiny") if name in values and values[name][place]]
    scratch = values["from scratch"][place]
    if not tried or not scratch:
        return ""
    best, spread = min(tried) if metric in ERRORS else max(tried)
    width, points = (spread**2 + scratch[1] ** 2) ** 0.5, scratch[0] - best if metric in ERRORS else best - scratch[0]
    text = f"{points:+.1f} ± {width:.1f}"
    return text if abs(points) > width else f"({text})"


def cost(recipe: str) -> str:
    """A row of the second table: hardware, minutes, runs and revision, as RESULTS.md has them."""
    text = (ROOT / "egs" / recipe / "RESULTS.md").read_text(encoding="utf-8")
    names = ("CPU", "cores", "runs", "git revision")
    found = [re.search(rf"^- {name}: (.*)$", text, re.MULTILINE) for name in names]
    found.insert(2, re.search(r"^\| all \| ([\d.]+) \|$", text, re.MULTILINE))
    cpu, cores, *rest = (match[1] if match else "unknown" for match in found)
    return f"| [{recipe}](../egs/{recipe}/RESULTS.md) | {cpu}, {cores} cores | {' | '.join(rest)} |"


def page(found: list[Table]) -> str:
    """docs/results.md."""
    columns = [*SYSTEMS]
    lines = [HEAD, "| task | labelled clips | " + " | ".join(columns) + " | gain |", "|---" * (len(columns) + 3) + "|"]
    for table in found:
        for place, clips in enumerate(table.clips):
            name = f"[{table.recipe}](../egs/{table.recipe}/README.md): {table.task}, {table.metric} in %" * (not place)
            points = [table.values[system][place] if system in table.values else None for system in columns]
            cells = [f"{point[0]:.1f} ± {point[1]:.1f}" if point else "" for point in points]
            lines.append("| " + " | ".join([name, str(clips), *cells, gain(table.values, place, table.metric)]) + " |")
    lines += [REST, "| recipe | hardware | minutes | runs | revision |", "|---|---|---|---|---|"]
    lines += [cost(recipe) for recipe in sorted({table.recipe for table in found})]
    return "\n".join(lines) + "\n"


@command
def main() -> None:
    """Entry point."""
    settings = parse(ResultsSettings)
    found = all_tables()
    if not settings.check:
        draw(found).savefig(PICTURE, dpi=110, metadata={"Description": repr(found)})
        PAGE.write_text(page(found), encoding="utf-8")
        return
    if not PICTURE.exists() or Image.open(PICTURE).text.get("Description") != repr(found):
        raise AsitError(f"{PICTURE}: shows other numbers than egs/*/RESULTS.md; run tools/dev/document_results.py")
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page(found):
        raise AsitError(f"{PAGE}: shows other numbers than egs/*/RESULTS.md; run tools/dev/document_results.py")


if __name__ == "__main__":
    raise SystemExit(main())
