#!/usr/bin/env python3
"""egs/README.md: the recipes, and what they reach beside what has been published.

Every recipe's title comes from its README.md, the published numbers from its conf/published.yaml, its own from the
RESULTS.md that its last stage has written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.io.atomic import write_text
from asit.recipes.published import NOT_RUN, OURS, Published, read_published

EGS = Path(__file__).resolve().parents[2] / "egs"
METHOD = "ASiT"
HEAD = """# Recipes

Written by `tools/dev/document_recipes.py` from the recipes' README.md, conf/published.yaml and RESULTS.md.

Each runs by `cd egs/<recipe> && ./run.sh`; `--help` lists options and stages. A new one for other recordings:
`tools/new_recipe.sh` ([extending.md](../docs/extending.md#a-corpus)).
"""
BESIDE = """## Beside published results

The recipes of published tasks follow the published protocol; their corpora have to be obtained, and the column of this
toolkit says so until somebody has run them. Each recipe's RESULTS.md lists more systems and the sources.

| task | recipe | metric | ASiT, published | best published | this toolkit |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class RecipesSettings(Options):
    """Write egs/README.md, or check that it is up to date."""

    check: bool = option(False, "write nothing; fail when the file would change")


def recipes() -> list[Path]:
    """Folders of recipes, the template last."""
    return sorted((path.parent for path in EGS.glob("*/run.sh")), key=lambda path: (path.name == "TEMPLATE", path.name))


def title(recipe: Path) -> str:
    """The heading of a recipe's README.md without the recipe's name."""
    readme = recipe / "README.md"
    first = readme.read_text(encoding="utf-8").split("\n", 1)[0] if readme.is_file() else ""
    if not first.startswith("# "):
        raise AsitError(f"{readme}: expected a heading '# …' in its first line, found '{first}'")
    return first.removeprefix("# ").removeprefix(f"{recipe.name}: ")


def own_value(recipe: Path, published: Published) -> str:
    """What RESULTS.md says of this recipe beside the published numbers of a task."""
    results = recipe / "RESULTS.md"
    text = results.read_text(encoding="utf-8") if results.is_file() else ""
    part = text.partition(f"### {published.heading}: published\n")[2].partition("\n#")[0]
    found = re.search(rf"^\| {re.escape(OURS)}[^|]*\|[^|]*\| ([^|]*) \|", part, re.MULTILINE)
    return found[1] if found else NOT_RUN


def row(recipe: Path, published: Published) -> str:
    """One task's line of the table."""
    values = {r.system: r.value for r in published.rows if r.value is not None}
    metric, best = published.declared, published.ranked[0]
    own = f"{values[METHOD]:.{metric.decimals}f}" if METHOD in values else "not given"
    shown = f"{best.value:.{metric.decimals}f} ({best.system})" if best.value is not None else "not given"
    link = f"[{recipe.name}]({recipe.name}/RESULTS.md)"
    return f"| {published.heading} | {link} | {metric.title} | {own} | {shown} | {own_value(recipe, published)} |"


def document() -> str:
    """The whole file."""
    lines = ["| recipe | |", "|---|---|"]
    for recipe in recipes():
        results = f" ([results]({recipe.name}/RESULTS.md))" if (recipe / "RESULTS.md").is_file() else ""
        lines.append(f"| [{recipe.name}]({recipe.name}/README.md) | {title(recipe)}{results} |")
    rows = [
        row(recipe, published)
        for recipe in recipes()
        for published in (
            read_published(str(recipe / "conf/published.yaml")) if (recipe / "conf/published.yaml").is_file() else []
        )
    ]
    return f"{HEAD}\n" + "\n".join(lines) + f"\n\n{BESIDE}" + "\n".join(rows) + "\n"


@command
def main() -> None:
    """Entry point."""
    settings = parse(RecipesSettings)
    path, text = EGS / "README.md", document()
    if not settings.check:
        write_text(path, text)
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        raise AsitError(f"{path}: not up to date; run tools/dev/document_recipes.py")


if __name__ == "__main__":
    raise SystemExit(main())
