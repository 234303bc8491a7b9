"""Join data directories into one."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from asit.config import REQUIRED, Options, option, parse
from asit.errors import command
from asit.kaldi.data_dir_combine import combine


@dataclass(frozen=True)
class Settings(Options):
    """Write one Kaldi data directory with the utterances of several; ids must differ, feature settings agree."""

    data_dirs: tuple[str, ...] = option(REQUIRED, "directories to combine")
    out_dir: str = option(REQUIRED, "directory to write; an older data directory there is replaced")


@command
def main() -> None:
    """``asit-combine-data-dirs --data-dirs data/a data/b --out-dir data/ab``."""
    settings = parse(Settings)
    out = combine(settings.out_dir, settings.data_dirs)
    print(f"{out.path}: {len(out.utts)} utterances, {len(out.spk2utt)} speakers from {len(settings.data_dirs)} dirs")


if __name__ == "__main__":
    sys.exit(main())
