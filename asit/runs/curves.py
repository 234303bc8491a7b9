"""The course of trainings as a picture, from the metrics.jsonl that they leave."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from asit.errors import AsitError
from asit.features.picture import colour, new_figure
from asit.train.run_log import read_metrics

NAME = "metrics.jsonl"
MOST_NAMED = 12  # of more, a legend would hide the curves
LOSSES = ("loss", "global", "local", "reconstruction")
ENTROPIES = ("entropy_cls", "entropy_of_mean_cls", "entropy_patch", "entropy_of_mean_patch")
CEILING = "ln_k_cls"
TIMES = ("step", "kind", "clips_per_second", "wait_share", "seconds_left", "lr", "weight_decay", "grad_norm")
Line = tuple[str, list[int], list[float]]  # label, steps, values


class Run(NamedTuple):
    """A training: its folder, as the experiment names it, and the lines that it has logged."""

    name: str
    rows: list[dict[str, Any]]

    def series(self, kind: str, value: str) -> tuple[list[int], list[float]]:
        """Steps and values of the lines that have this value."""
        found = [row for row in self.rows if row.get("kind") == kind and row.get(value) is not None]
        return [row["step"] for row in found], [row[value] for row in found]

    @property
    def group(self) -> str:
        """The name without the seed at its end."""
        return re.sub(r"_\d+$", "", self.name)

    @property
    def pretrains(self) -> bool:
        """Whether it has a teacher or a reconstruction to tell of."""
        return any("reconstruction" in row for row in self.rows)


def runs_below(exp: str | Path) -> list[Run]:
    """The trainings of an experiment's folder, or of a run's own, by name; those put aside (``.old-1``) not.

    Raises:
        AsitError: none has logged anything.
    """
    found = []
    for path in sorted(Path(exp).rglob(NAME)):
        place = path.parent.relative_to(exp)
        if not any(".old-" in part for part in place.parts):
            found.append(Run(str(place) if place.parts else Path(exp).resolve().name, read_metrics(path)))
    found = [run for run in found if run.rows]
    if not found:
        raise AsitError(f"{exp}: expected a training's {NAME} in or below this folder, found none with a line; train")
    return found


def curves_figure(runs: Iterable[Run]) -> Any:
    """Losses and teacher entropies of pretrainings, losses and validation of fine-tunings, learning rates.

    A single pretraining shows its losses in one panel. Runs whose names differ in their last number, the seed, share a
    colour.
    """
    runs = list(runs)
    panels: dict[str, list[Line]] = {}

    def add(title: str, label: str, course: tuple[list[int], list[float]]) -> None:
        if course[0]:
            panels.setdefault(title, []).append((label, *course))

    pretrained = [run for run in runs if run.pretrains]
    tuned = [run for run in runs if not run.pretrains]
    alone = len(pretrained) == 1
    for run in pretrained:
        for what, names in (("pretraining: {}", LOSSES), ("teacher: {}", ENTROPIES)):
            for name in names:
                title = what.format("losses" if names is LOSSES else "entropies") if alone else what.format(name)
                add(title, name if alone else run.group, run.series("train", name))
    for run in tuned:
        add("fine-tuning: loss", run.group, run.series("train", "loss"))
        for name in sorted({name for row in run.rows if row.get("kind") == "valid" for name in row} - set(TIMES)):
            add(f"validation: {name}", run.group, run.series("valid", name))
    for run in runs:
        add("learning rate", run.group, run.series("train", "lr"))
    return _drawn(panels, {title: _ceiling(pretrained) for title in panels if title.startswith("teacher")})


def _ceiling(runs: Iterable[Run]) -> float | None:
    """ln K, the entropy of a teacher that tells nothing apart."""
    values = [row[CEILING] for run in runs for row in run.rows if CEILING in row]
    return max(values) if values else None


def _drawn(panels: Mapping[str, list[Line]], ceilings: Mapping[str, float | None]) -> Any:
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(6.5 * columns, 3.1 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, (title, lines) in zip(grid, panels.items(), strict=False):
        labels = list(dict.fromkeys(label for label, *_ in lines))
        told: set[str] = set()
        for label, steps, values in lines:
            name = label if label not in told else None
            told.add(label)
            marker = "." if title.startswith("validation") or len(steps) == 1 else None
            place.plot(
                steps, values, label=name, color=colour(labels.index(label), len(labels)), linewidth=1.0, marker=marker
            )
        if ceilings.get(title) is not None:
            place.axhline(ceilings[title], color="grey", linestyle=":", label="ln K: all prototypes alike")
        place.set_title(title, fontsize=10)
        place.set_xlabel("updates")
        place.grid(alpha=0.3)
        if len(labels) <= MOST_NAMED and (len(labels) > 1 or title in ceilings):
            for text in place.legend(fontsize=7).get_texts():
                text.set_parse_math(False)
    for place in grid[len(panels) :]:
        place.set_visible(False)
    return figure
