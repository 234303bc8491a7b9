"""Copy a data directory, with other ids if asked."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from asit.config import REQUIRED, Options, group, option, parse
from asit.errors import command
from asit.kaldi.data_dir_combine import Renaming, copy


@dataclass(frozen=True)
class Settings(Options):
    """Copy a Kaldi data directory, changing utterance and speaker ids; audio and archives stay where they are."""

    data_dir: str = option(REQUIRED, "directory to copy")
    out_dir: str = option(REQUIRED, "directory to write; an older data directory there is replaced")
    renaming: Renaming = group(Renaming)


@command
def main() -> None:
    """``asit-copy-data-dir --data-dir data/train --utt-prefix x- --spk-prefix x- --out-dir data/train_x``."""
    settings = parse(Settings)
    out = copy(settings.data_dir, settings.out_dir, settings.renaming)
    print(f"{out.path}: {len(out.utts)} utterances, {len(out.spk2utt)} speakers")


if __name__ == "__main__":
    sys.exit(main())
