"""Subword tokens of transcripts.

asit-train-tokens --data-dir data/train --out-dir data/tokens --vocab-size 100 --encode-dirs data/train data/test
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from asit.config import REQUIRED, Options, group, option, parse
from asit.errors import command
from asit.runs.tokens import TokenSettings, train, write_token_int


@dataclass(frozen=True)
class Settings(Options):
    """Train a SentencePiece model on the text of a data directory and write token_int of data directories."""

    data_dir: str = option(REQUIRED, "data directory whose text the tokens are made for")
    out_dir: str = option(REQUIRED, "folder that gets tokens.model and tokens.txt")
    encode_dirs: tuple[str, ...] = option((), "data directories that get token_int, their text as token indices")
    tokens: TokenSettings = group(TokenSettings)


@command
def main() -> None:
    """Entry point of ``asit-train-tokens``."""
    settings = parse(Settings)
    tokens = train(settings.data_dir, settings.tokens)
    tokens.save(settings.out_dir)
    print(f"{settings.out_dir}/tokens.model: {len(tokens)} tokens of {settings.data_dir}/text")
    for data_dir in settings.encode_dirs:
        count, unknown = write_token_int(tokens, data_dir)
        print(f"{data_dir}/token_int: {count} tokens, {unknown} of them <unk>")


if __name__ == "__main__":
    sys.exit(main())
