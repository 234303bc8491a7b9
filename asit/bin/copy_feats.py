"""Copy features between archives, scp files and text, as Kaldi's copy-feats does."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from asit.config import REQUIRED, Options, option, parse
from asit.errors import command
from asit.kaldi import specifiers


@dataclass(frozen=True)
class Settings(Options):
    """Copy features from a Kaldi rspecifier to a wspecifier, such as scp:data/train/feats.scp ark,t:- ."""

    rspecifier: str = option(REQUIRED, "what to read: scp:FILE or ark:FILE, - for standard input", positional=True)
    wspecifier: str = option(
        REQUIRED, "what to write: ark:FILE, ark,scp:FILE,FILE, or ark,t:FILE for text; - is the output", positional=True
    )
    compression: int = option(0, "Kaldi's compression method; 0: float32", tuple(range(8)))


@command
def main() -> None:
    """``asit-copy-feats scp:data/train/feats.scp ark,t:-``."""
    settings = parse(Settings)
    count = specifiers.write(settings.wspecifier, specifiers.read(settings.rspecifier), settings.compression)
    print(f"asit-copy-feats: copied {count} matrices", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
