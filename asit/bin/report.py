"""asit-report: RESULTS.md and an HTML page from what a recipe has left, or a comparison of experiments."""

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
    if settings.html and len(settings.exp_dirs) > 1:
        raise AsitError("options 'html' and 'exp_dirs' with several folders: the page is of one experiment")
    text = results(settings) if len(settings.exp_dirs) == 1 else comparison(settings)
    if settings.out:
        write_text(settings.out, text)
        print(f"{settings.out}: results of {', '.join(settings.plan or settings.exp_dirs)}")
    elif not settings.html:
        print(text, end="")
    if settings.html:
        from asit.runs.html_report import write_html  # takes its time

        print(write_html(settings))


if __name__ == "__main__":
    sys.exit(main())
