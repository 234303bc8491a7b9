"""asit-baseline: summary statistics of the log-mels and logistic regression."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.downstream.baseline import Settings, baseline
from asit.downstream.evaluate import summary
from asit.errors import command


@command
def main() -> None:
    """Entry point."""
    settings = parse(Settings)
    print(summary(settings.test_dir, baseline(settings)))


if __name__ == "__main__":
    sys.exit(main())
