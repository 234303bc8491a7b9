"""asit-report: RESULTS.md from the metrics.json files of a recipe, or a comparison of experiments."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import AsitError, command
from asit.io.atomic import write_text
from asit.recipes.compare import comparison
from asit.recipes.results import Settings, results


@command
def main() -> None:
    """``asit-report --plan exp/plan --out RESULTS.md``, ``asit-report --exp-dirs exp exp/lr5e-4``."""
    settings = parse(Settings)
    if settings.plan and len(settings.exp_dirs) > 1:
        raise AsitError("options 'plan' and 'exp_dirs' with several folders: give one of them")
    if not settings.exp_dirs:
        raise AsitError("option 'exp_dirs': expected at least one folder")
    text = results(settings) if len(settings.exp_dirs) == 1 else comparison(settings)
    if settings.out:
        write_text(settings.out, text)
        print(f"{settings.out}: results of {', '.join(settings.plan or settings.exp_dirs)}")
    else:
        print(text, end="")


if __name__ == "__main__":
    sys.exit(main())
