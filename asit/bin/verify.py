"""asit-verify: equal error rate and minDCF of embeddings on a list of trials."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.verify import Settings, summary, verify


@command
def main() -> None:
    """Entry point."""
    settings = parse(Settings)
    print(f"{settings.trials}: {summary(verify(settings))}")


if __name__ == "__main__":
    sys.exit(main())
