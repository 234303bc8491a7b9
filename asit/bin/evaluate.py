"""asit-evaluate: score a fine-tuned model on a data directory."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.evaluate import Settings, evaluate, summary


@command
def main() -> None:
    """Entry point."""
    settings = parse(Settings)
    print(summary(settings.data_dir, evaluate(settings)))


if __name__ == "__main__":
    sys.exit(main())
