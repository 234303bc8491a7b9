"""N-grams of units, a language model for recognition.

asit-train-lm --data-dir data/train --tokens data/train/tokens --out-file data/train/tokens/lm.arpa
"""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.language_model import Settings, train


@command
def main() -> None:
    """Entry point of ``asit-train-lm``."""
    settings = parse(Settings)
    count, perplexity = train(settings)
    print(f"{settings.out_file}: {count} n-grams of {settings.data_dir}/text")
    if perplexity is not None:
        print(f"{settings.measure_dir}/text: perplexity {perplexity:.2f} a unit")


if __name__ == "__main__":
    sys.exit(main())
