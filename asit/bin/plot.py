"""asit-plot: pictures of recordings, trainings and embeddings."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.plot import Settings, plot
from asit.runs.recordings import report_failed, show_notes


@command
def main() -> None:
    """Recordings of a map that cannot be read are named, and the exit code is 1 at the end."""
    show_notes()
    failed: list[str] = []
    print(plot(parse(Settings), failed))
    report_failed(failed)


if __name__ == "__main__":
    sys.exit(main())
