"""asit-transcribe: what is said in audio files."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.recordings import report_failed, show_notes
from asit.runs.transcribe import Settings, transcribe


@command
def main() -> None:
    """Recordings that cannot be read are named, and the exit code is 1 at the end."""
    show_notes()
    failed: list[str] = []
    for line in transcribe(parse(Settings), failed):
        print(line, flush=True)
    report_failed(failed)


if __name__ == "__main__":
    sys.exit(main())
