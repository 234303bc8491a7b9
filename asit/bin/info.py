"""asit-info: what a model file is."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.info import Settings, description


@command
def main() -> None:
    """Entry point."""
    for path in parse(Settings).model:
        print("\n".join(f"{name:12} {value}" for name, value in description(path).items()))


if __name__ == "__main__":
    sys.exit(main())
