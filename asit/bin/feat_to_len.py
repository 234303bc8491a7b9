"""Number of frames, as Kaldi's feat-to-len prints it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from asit.config import REQUIRED, Options, option, parse
from asit.errors import command
from asit.kaldi import specifiers


@dataclass(frozen=True)
class Settings(Options):
    """Print the number of frames: of all features together, or of each utterance."""

    rspecifier: str = option(REQUIRED, "what to read: scp:FILE or ark:FILE, - for standard input", positional=True)
    wspecifier: str = option("", "ark,t:- prints a line for each utterance; empty: the sum alone", positional=True)


@command
def main() -> None:
    """``asit-feat-to-len scp:data/train/feats.scp ark,t:-``."""
    settings = parse(Settings)
    each = bool(settings.wspecifier) and specifiers.parse_text_output(settings.wspecifier)
    total = 0
    for utt, feats in specifiers.read(settings.rspecifier):
        total += len(feats)
        if each:
            print(utt, len(feats))
    if not each:
        print(total)


if __name__ == "__main__":
    sys.exit(main())
