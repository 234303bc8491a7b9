"""asit-predict: class names and probabilities for audio files."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.predict import Settings, predict
from asit.runs.recordings import report_failed, show_notes


@command
def main() -> None:
    """Recordings that cannot be read are named, and the exit code is 1 at the end."""
    show_notes()
    failed: list[str] = []
    for line in predict(parse(Settings), failed):
        print(line)
    report_failed(failed)


if __name__ == "__main__":
    sys.exit(main())
