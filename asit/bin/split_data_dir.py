"""Split a data directory for parallel jobs."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from asit.config import REQUIRED, Options, option, parse
from asit.errors import command
from asit.kaldi.data_dir_parts import split


@dataclass(frozen=True)
class Settings(Options):
    """Split a Kaldi data directory into <data-dir>/split<n>/1 ... n; nothing is done where that is up to date."""

    data_dir: str = option(REQUIRED, "directory to split")
    nj: int = option(REQUIRED, "number of parts")
    by_speaker: bool = option(False, "keep each speaker in one part (Kaldi's default; false is its --per-utt)")


@command
def main() -> None:
    """``asit-split-data-dir --data-dir data/train --nj 8``."""
    settings = parse(Settings)
    outs = split(settings.data_dir, settings.nj, settings.by_speaker)
    print(f"{settings.data_dir}: {len(outs)} parts, {outs[0]} to {outs[-1]}")


if __name__ == "__main__":
    sys.exit(main())
