"""asit-embed: clip embeddings of a data directory as Kaldi vectors."""

from __future__ import annotations

import sys

from asit.config import parse
from asit.errors import command
from asit.runs.embed import Settings, embed


@command
def main() -> None:
    """Entry point."""
    settings = parse(Settings)
    print(f"{settings.out_dir}/embeddings.scp: {embed(settings)} clip embeddings")


if __name__ == "__main__":
    sys.exit(main())
