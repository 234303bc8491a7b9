"""asit-pack: a model as model hubs keep one."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.export.pack import PackSettings, pack


@command
def main() -> None:
    """Entry point."""
    settings = parse(PackSettings)
    print(f"{settings.out}: {', '.join(pack(settings))}")


if __name__ == "__main__":
    sys.exit(main())
