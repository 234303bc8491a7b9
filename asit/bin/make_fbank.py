"""Log-mel features of a data directory or of one part of it, in one process."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.features.extract import ExtractSettings, extract


@command
def main() -> None:
    """``asit-make-fbank --data-dir data/train/split8/3 --out-dir fbank --name raw_fbank_train.3 --partial true``."""
    settings = parse(ExtractSettings)
    succeeded, total = extract(settings)
    print(
        f"{settings.data_dir}: features of {succeeded} of {total} utterances in {settings.out_dir}/{settings.name}.ark"
    )


if __name__ == "__main__":
    sys.exit(main())
