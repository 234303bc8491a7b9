"""asit-embed: embeddings of a data directory or of audio."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.embed import Settings, embed
from asit.runs.recordings import report_failed, show_notes


@command
def main() -> None:
    """Recordings that cannot be read are named, and the exit code is 1 at the end."""
    show_notes()
    settings = parse(Settings)
    failed: list[str] = []
    print(f"{settings.out_dir}: {embed(settings, failed)} {settings.level} embeddings")
    report_failed(failed)


if __name__ == "__main__":
    sys.exit(main())
