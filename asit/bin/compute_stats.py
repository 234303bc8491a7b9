"""Mean and standard deviation of a data directory's features."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from asit.config import REQUIRED, Options, option, parse
from asit.errors import command
from asit.features.stats import compute


@dataclass(frozen=True)
class Settings(Options):
    """Mean and standard deviation over all frames and bins of a data directory's features."""

    data_dir: str = option(REQUIRED, "data directory with feats.scp")
    out: str | None = option(None, "file to write; none: <data-dir>/stats.yaml")


@command
def main() -> None:
    """``asit-compute-stats --data-dir data/train``."""
    settings = parse(Settings)
    stats = compute(settings.data_dir)
    out = settings.out or os.path.join(settings.data_dir, "stats.yaml")
    stats.save(out)
    print(f"{out}: mean {stats.mean:.4f}, standard deviation {stats.std:.4f} of {stats.frames} frames")


if __name__ == "__main__":
    sys.exit(main())
