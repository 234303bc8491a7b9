"""Experiments side by side: their scores, and the options in which their runs differ."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from asit.config import read_yaml
from asit.errors import AsitError
from asit.recipes import record
from asit.recipes.job_list import out_dirs
from asit.recipes.record import NAME, Record
from asit.recipes.results import Settings, metrics_of, row_of, table_head, table_line

TRAINED = ("pretrain", "finetune")  # kinds of a plan whose runs leave config.yaml
NAMES = 3  # runs named in a row of the options


def comparison(settings: Settings) -> str:
    """The comparison of ``exp_dirs`` as Markdown: a table for each task, and one of options.

    Raises:
        AsitError: a folder without scores, a run of its plan that is not scored, experiments of one task with
            different primary metrics.
    """
    places = [Path(place) for place in settings.exp_dirs]
    scores = {place: [record.load(path) for path in _metrics(place, places)] for place in places}
    tasks = sorted({run.tags.get(settings.table_tag, "") for runs in scores.values() for run in runs})
    parts = [f"# {settings.title}", *(_scores(task, scores, settings) for task in tasks), _options(places)]
    return "\n\n".join(parts) + "\n"


def _metrics(place: Path, places: list[Path]) -> list[Path]:
    """metrics.json of the experiment's plan, or of all runs below it that belong to no other experiment."""
    plan = place / "plan"
    found = metrics_of([str(plan)] if plan.is_dir() else [], str(place))
    if not plan.is_dir():
        found = [path for path in found if not _elsewhere(path, place, places)]
    if not found:
        raise AsitError(f"{place}: expected {NAME} files below it, found none; run the scoring stage")
    return found


def _elsewhere(path: Path, place: Path, places: list[Path]) -> bool:
    return any(other.is_relative_to(place) and path.is_relative_to(other) for other in places if other != place)


def _scores(task: str, scores: dict[Path, list[Record]], settings: Settings) -> str:
    rows: dict[tuple[str, str], dict[Path, list[float]]] = defaultdict(lambda: defaultdict(list))
    metrics = set()
    for place, runs in scores.items():
        for run in runs:
            if run.tags.get(settings.table_tag, "") == task:
                rows[row_of(run, settings), run.tags.get(settings.column_tag, "")][place].append(run.value)
                metrics.add(run.primary)
    if len(metrics) > 1:
        found = "; ".join(sorted(map(str, metrics)))
        raise AsitError(f"'{task}' has different primary metrics in the experiments: {found}")
    metric = metrics.pop()
    lines = table_head([settings.row_tag, settings.column_tag, *map(str, scores)])
    for key, cells in sorted(rows.items()):
        shown = [metric.spread(cells[place]) if place in cells else "–" for place in scores]
        lines.append(table_line([*key, *shown]))
    repeated = " and ".join(f"{tag}s" for tag in settings.seed_tags)
    caption = f"{metric.title}, mean ± sample standard deviation over {repeated} (their number in brackets)."
    return f"## {task}\n\n{caption}\n\n" + "\n".join(lines)


def _options(places: list[Path]) -> str:
    """The options in which runs of the same name differ, each once with the runs that it concerns."""
    configs = [_configs(place, places) for place in places]
    differing: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for run in dict.fromkeys(run for config in configs for run in config):
        of_run = [config.get(run) for config in configs]
        names = dict.fromkeys(name for config in of_run if config for name in config)
        for name in names:
            values = [None if config is None else _text(config, name) for config in of_run]
            if len({value for value in values if value is not None}) > 1:
                kind = re.sub(r"_\d+(_fold[^_]*)?$", "", run)  # without seed and fold
                concerned = differing[name, tuple("–" if value is None else value for value in values)]
                concerned += [kind] * (kind not in concerned)
    if not differing:
        return "## Options that differ\n\nNone: what differs is not an option (data, code, seeds)."
    lines = table_head(["option", *map(str, places), "runs"])
    for (name, values), runs in differing.items():
        more = [f"and {len(runs) - NAMES} more"] if len(runs) > NAMES else []
        lines.append(table_line([f"`{name}`", *values, ", ".join(runs[:NAMES] + more)]))
    return "## Options that differ\n\n" + "\n".join(lines)


def _configs(place: Path, places: list[Path]) -> dict[str, dict[str, Any]]:
    """Options of the trained runs of an experiment by the name of their folder; paths in it begin with ``<exp>``."""
    lists = [place / "plan" / f"{kind}.txt" for kind in TRAINED]
    if lists[0].parent.is_dir():
        folders = [folder for path in lists for folder in out_dirs(path)]
    else:
        folders = [path.parent for path in sorted(place.rglob("config.yaml")) if not _elsewhere(path, place, places)]
    found = {}
    for folder in (folder for folder in folders if (folder / "config.yaml").is_file()):
        options = {name: value for name, (value, _) in read_yaml(folder / "config.yaml").items()}
        own = options.get("out_dir")
        prefix = str(own).removesuffix(folder.name) if own else f"{place}/"
        found[folder.name] = {
            name: f"<exp>/{value.removeprefix(prefix)}"
            if isinstance(value, str) and value.startswith(prefix)
            else value
            for name, value in options.items()
            if name != "out_dir"
        }
    return found


def _text(options: dict[str, Any], name: str) -> str:
    value = options.get(name, "–")
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    words = {None: "none", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
