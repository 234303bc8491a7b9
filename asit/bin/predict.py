"""asit-predict: class names and probabilities for audio files."""

from __future__ import annotations

import logging
import sys

from asit.config import parse
from asit.errors import command
from asit.runs.predict import Settings, predict


@command
def main() -> None:
    """Entry point."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # notes go to stderr, the table to stdout
    sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # names that are not UTF-8, as they are
    for line in predict(parse(Settings)):
        print(line)


if __name__ == "__main__":
    sys.exit(main())
