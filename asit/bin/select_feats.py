"""Share one extraction among data directories.

asit-select-feats --from-dir data/all --data-dirs data/train data/test
"""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.features.select import SelectSettings, select


@command
def main() -> None:
    """Entry point of ``asit-select-feats``."""
    settings = parse(SelectSettings)
    for data_dir in settings.data_dirs:
        print(f"{data_dir}: features of {select(settings.from_dir, data_dir)} utterances from {settings.from_dir}")


if __name__ == "__main__":
    sys.exit(main())
