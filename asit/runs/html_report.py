"""An experiment on one page: a self-contained HTML file that needs no network and no script."""

from __future__ import annotations

import csv
import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asit
from asit.errors import AsitError
from asit.features.picture import data_uri, png
from asit.io.atomic import write_text
from asit.kaldi.table import read_text
from asit.recipes.job_list import out_dirs
from asit.recipes.plan import COMMANDS
from asit.recipes.record import Record
from asit.recipes.results import Settings, collect, results, row_of
from asit.runs.curves import Run, curves_figure, runs_below
from asit.runs.wrong_clips import MOST_SECONDS, often_wrong, wrong_of

EMBEDDING_MAP = "embedding_map.png"  # which recipes without labels make
MOST_RUNS = 60  # shown one by one
MOST_ERRORS = 10  # listed of each
MOST_CLASSES = 200  # in its table
FACTS = ("date", "git", "dirty", "asit", "python", "torch", "cpu", "cores", "ram_gib", "gpu")


def write_html(settings: Settings) -> str:
    """Write ``settings.html``; one line that says what it holds.

    Raises:
        AsitError: as :func:`asit.recipes.results.results`; predictions or metrics that cannot be read.
    """
    import jinja2  # not needed to print a table

    runs = collect(settings)
    trainings = _trainings(settings)
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "pages")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.get_template("report.html").render(
        title=settings.title,
        results=_as_html(results(settings)),
        curves=_curves(trainings),
        reconstructions=_reconstructions(settings, trainings),
        embedding_map=_picture(_home(settings) / EMBEDDING_MAP),
        wrong=often_wrong(runs, settings.table_tag),
        wrong_seconds=MOST_SECONDS,
        runs=[_run(path, record, settings) for path, record in runs[:MOST_RUNS]],
        more_runs=max(0, len(runs) - MOST_RUNS),
        most_errors=MOST_ERRORS,
        environment=_environment([record for _, record in runs]),
        commands=_commands(settings, runs),
        settings_of=_settings_of(settings, trainings),
        made=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        version=asit.__version__,
    )
    write_text(settings.html, page)
    return f"{settings.html}: report of {len(runs)} scored runs, {len(page.encode()) / 2**20:.1f} MiB"


def _as_html(text: str) -> Any:
    """The tables' Markdown; names that look like HTML stay text."""
    import markdown
    import markupsafe

    pieces = re.split(r"(`[^`\n]*`)", text)  # in code, Markdown escapes by itself
    safe = "".join(piece if number % 2 else piece.replace("<", "&lt;") for number, piece in enumerate(pieces))
    return markupsafe.Markup(markdown.markdown(safe.partition("\n")[2], extensions=["tables"]))


def _home(settings: Settings) -> Path:
    """The experiment's folder."""
    return Path(settings.plan[0]).parent if settings.plan else Path(settings.exp_dirs[0])


def _trainings(settings: Settings) -> list[Run]:
    """Of the plan, or all below the experiment; none where every system came from elsewhere."""
    home = _home(settings)
    try:
        found = runs_below(home)
    except AsitError:
        return []
    lists = [Path(plan, f"{kind}.txt") for plan in settings.plan for kind in ("pretrain", "finetune")]
    planned = [place.resolve() for jobs in lists if jobs.is_file() for place in out_dirs(jobs)]
    return [run for run in found if not planned or (home / run.name).resolve() in planned]


def _curves(trainings: Sequence[Run]) -> list[tuple[str, str]]:
    """(what, data URI) of pretrainings and of fine-tunings."""
    found = []
    for what, pretrains in (("Pretraining: losses and the teacher's entropies", True), ("Fine-tuning", False)):
        some = [run for run in trainings if run.pretrains == pretrains]
        if some:
            found.append((what, data_uri(png(curves_figure(some)))))
    return found


def _reconstructions(settings: Settings, trainings: Sequence[Run]) -> list[tuple[str, str]]:
    """(run, data URI) of the last picture that each of the first pretrainings has left."""
    found = []
    for run in trainings:
        images = sorted((_home(settings) / run.name / "images").glob("reconstruction.*.png"))
        if images:
            found.append((run.name, data_uri(images[-1].read_bytes())))
    return found[:3]


def _picture(path: Path) -> str:
    """The data URI of a PNG file, or nothing."""
    return data_uri(path.read_bytes()) if path.is_file() else ""


def _run(path: Path, record: Record, settings: Settings) -> dict[str, Any]:
    folder = path.parent
    per_class = folder / "per_class.csv"
    rows: list[list[str]] = []
    if per_class.is_file():
        with per_class.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
    wrong = wrong_of(folder)
    return {
        "name": f"{record.tags[settings.table_tag]}, {row_of(record, settings)}",
        "tags": record.tags,
        "folder": str(folder),
        "metrics": [(metric.name, metric.text(record.metrics[metric.name])) for metric in record.declared],
        "clips": record.clips,
        "expected": record.expected,
        "train_clips": record.train_clips,
        "confusion": _picture(folder / "confusion.png"),
        "classes": rows[: MOST_CLASSES + 1],
        "more_classes": max(0, len(rows) - 1 - MOST_CLASSES),
        "wrong": wrong[:MOST_ERRORS],
        "wrong_count": len(wrong),
    }


def _environment(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Each fact of the scored runs with its values."""
    facts = []
    for name in FACTS:
        values = sorted({str(record.provenance[name]) for record in records if name in record.provenance} - {""})
        shown = f"{values[0]} to {values[-1]}" if name == "date" and len(values) > 1 else ", ".join(values)
        facts.append((name, shown or "none"))
    return facts


def _commands(settings: Settings, runs: Sequence[tuple[Path, Record]]) -> list[tuple[str, str]]:
    """(kind, command lines) of the plan; without one, what each scored run says of itself."""
    found = [("recipe", settings.run_command)] if settings.run_command else []
    for plan in settings.plan:
        for kind in COMMANDS:
            path = Path(plan, f"{kind}.txt")
            text = read_text(str(path)).strip() if path.is_file() else ""
            if text:
                found.append((kind, text))
    if not settings.plan:
        told = [str(record.provenance.get("command", "")) for _, record in runs]
        found.append(("scoring", "\n".join(dict.fromkeys(filter(None, told)))))
    return found


def _settings_of(settings: Settings, trainings: Sequence[Run]) -> list[tuple[str, str]]:
    """(run, config.yaml) of the first training of each name without seed: all options, defaults too."""
    found: dict[str, tuple[str, str]] = {}
    for run in trainings:
        path = _home(settings) / run.name / "config.yaml"
        if path.is_file() and run.group not in found:
            found[run.group] = (run.name, read_text(str(path)))
    return list(found.values())
