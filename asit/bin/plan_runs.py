"""asit-plan-runs: conf/runs.yaml to the command lines of all jobs of a recipe."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.recipes.job_list import put_aside
from asit.recipes.plan import Settings, write
from asit.recipes.runs_file import read_plan, sets


@command
def main() -> None:
    """Entry point."""
    settings = parse(Settings)
    if settings.list:
        print("\n".join(sets(read_plan(settings.runs), settings.pool, settings.list)))
        return
    if settings.put_aside:
        for before, after in put_aside(settings.put_aside):
            print(f"{before}: put aside as {after}")
        return
    counts = write(settings)
    print(f"{settings.out}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))


if __name__ == "__main__":
    sys.exit(main())
