"""asit-knn: k-nearest-neighbour classification with a frozen backbone."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.evaluate import summary
from asit.runs.knn import Settings, knn


@command
def main() -> None:
    """Entry point."""
    settings = parse(Settings)
    result = knn(settings)
    print(f"{summary(settings.test_dir, result)}; k = {result.provenance['k']}")


if __name__ == "__main__":
    sys.exit(main())
