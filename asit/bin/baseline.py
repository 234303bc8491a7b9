"""asit-baseline: summary statistics of the log-mels and logistic regression."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.baseline import Settings, baseline
from asit.runs.evaluate import summary


@command
def main() -> None:
    """Entry point."""
    settings = parse(Settings)
    print(summary(settings.test_dir, baseline(settings)))


if __name__ == "__main__":
    sys.exit(main())
