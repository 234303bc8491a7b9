"""asit-export: a model for another library."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.export.export import ExportSettings, export


@command
def main() -> None:
    """Entry point."""
    settings = parse(ExportSettings)
    print(f"{settings.out}: {', '.join(export(settings))}")


if __name__ == "__main__":
    sys.exit(main())
