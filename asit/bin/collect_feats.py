"""Merge the parts that asit-make-fbank wrote into the data directory."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.features.collect import CollectSettings, collect


@command
def main() -> None:
    """``asit-collect-feats --data-dir data/train --out-dir fbank --name raw_fbank_train --nj 8``."""
    settings = parse(CollectSettings)
    succeeded, total = collect(settings)
    print(f"{settings.data_dir}: features of {succeeded} of {total} utterances")


if __name__ == "__main__":
    sys.exit(main())
