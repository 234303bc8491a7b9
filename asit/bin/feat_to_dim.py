"""Number of columns, as Kaldi's feat-to-dim prints it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from asit.config import REQUIRED, Options, option, parse
from asit.errors import AsitError, command
from asit.kaldi import specifiers


@dataclass(frozen=True)
class Settings(Options):
    """Print the dimension F of features, that of the first utterance."""

    rspecifier: str = option(REQUIRED, "what to read: scp:FILE or ark:FILE, - for standard input", positional=True)


@command
def main() -> None:
    """``asit-feat-to-dim scp:data/train/feats.scp``."""
    settings = parse(Settings)
    first = next(iter(specifiers.read(settings.rspecifier)), None)
    if first is None:
        raise AsitError(f"'{settings.rspecifier}': no features in it")
    print(first[1].shape[1])


if __name__ == "__main__":
    sys.exit(main())
