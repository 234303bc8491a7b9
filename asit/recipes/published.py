"""Numbers that others have published, shown beside a recipe's own.

``conf/published.yaml`` of a recipe:

.. code-block:: yaml

    tables:
      - task: ESC-50            # the tag of the recipe's runs
        metric: accuracy        # their primary metric
        unit: "%"               # its unit (default: %)
        better: higher          # or lower (default: higher)
        labels: all             # their column (default: all)
        system: pretrained      # their row (default: pretrained)
        test: eval_1            # their test set, where a run has several
        note: mean over five folds
        rows:
          - {system: ASiT, params: 86M, value: 95.3, source: "arXiv 2211.13189"}
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from asit.config import entry, read_yaml
from asit.config.values import shown
from asit.errors import AsitError
from asit.metrics.metric import Metric

NOT_RUN = "not run: needs the corpus"
OURS = "**this recipe**"


@dataclass(frozen=True)
class Row:
    """A published number, of a share in percent; ``value`` None where the source gives none."""

    system: str
    value: float | None
    source: str
    params: str = ""


@dataclass(frozen=True)
class Published:
    """The published numbers of one task."""

    task: str
    metric: str
    rows: tuple[Row, ...]
    labels: str = "all"
    system: str = "pretrained"
    note: str = ""
    unit: str = "%"
    better: str = "higher"
    test: str = ""

    @property
    def heading(self) -> str:
        """What the numbers are of, with the test set where there are several."""
        return f"{self.task}, {self.test}" if self.test else self.task

    @property
    def declared(self) -> Metric:
        """The metric that the numbers are of."""
        return Metric(self.metric, self.unit, self.better)

    @property
    def ranked(self) -> list[Row]:
        """The rows with a value, the best first, then the others."""
        known = [row for row in self.rows if row.value is not None]
        known.sort(key=lambda row: self.declared.goodness(row.value), reverse=True)
        return known + [row for row in self.rows if row.value is None]


def read_published(path: str) -> list[Published]:
    """Read ``conf/published.yaml``.

    Raises:
        AsitError: an unknown or missing name, a value that is no number, a name or source that is no text.
    """
    content = read_yaml(path)
    tables, place = content.pop("tables", (None, path))
    if content or not isinstance(tables, list) or not tables:
        raise AsitError(f"{place}: expected one list 'tables', each with task, metric and rows")
    found = []
    for number, table in enumerate(tables, 1):
        where = f"{place}: table {number}"
        rows = table.get("rows") if isinstance(table, dict) else None
        if not isinstance(rows, list) or not rows:
            raise AsitError(f"{where}: expected a list 'rows', each with system, value and source")
        made = tuple(entry(Row, row, f"{where}: row {line}") for line, row in enumerate(rows, 1))
        for line, row in enumerate(made, 1):
            real = isinstance(row.value, (int, float)) and not isinstance(row.value, bool)
            if row.value is not None and not (real and math.isfinite(row.value)):
                raise AsitError(f"{where}: row {line}: expected a number or null, found {shown(row.value)}")
            _expect_text(row, ("system", "source", "params"), f"{where}: row {line}")
        published = entry(Published, {**table, "rows": made}, where)
        _expect_text(published, ("task", "metric", "labels", "system", "note", "unit", "better", "test"), where)
        try:
            _ = published.declared
        except ValueError as error:
            raise AsitError(f"{where}: {error}") from None
        found.append(published)
    return found


def _expect_text(entry: Row | Published, names: tuple[str, ...], where: str) -> None:
    for name in names:
        value = getattr(entry, name)
        if not isinstance(value, str):
            raise AsitError(f"{where}: {name}: expected text, found {shown(value)}; quote a number")


def section(published: Published, ours: str | None) -> str:
    """A table of Markdown: this recipe's number (None: not run) and the published ones, the best first."""
    lines = [f"### {published.heading}: published", ""]
    note = f" {published.note[0].upper()}{published.note[1:]}." if published.note else ""
    lines += [f"{published.declared.title}.{note}", "", "| system | parameters | value | source |", "|---|---|---|---|"]
    lines.append(f"| {OURS}, {published.system} | | {ours or NOT_RUN} | |")
    for row in published.ranked:
        value = "not given" if row.value is None else f"{row.value:.{published.declared.decimals}f}"
        lines.append(f"| {row.system} | {row.params} | {value} | {row.source} |")
    return "\n".join(lines)
