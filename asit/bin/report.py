"""asit-report: RESULTS.md from the metrics.json files of a recipe."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.report.results import Settings, write_results


@command
def main() -> None:
    """Entry point."""
    settings = parse(Settings)
    count = write_results(settings)
    print(f"{settings.out}: {count} scored runs of {', '.join(settings.plan) or settings.exp_dir}")


if __name__ == "__main__":
    sys.exit(main())
