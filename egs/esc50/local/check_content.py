#!/usr/bin/env python3
"""Compare a copy of ESC-50, byte for byte, with the clips that are published.

GitHub rebuilds the archive now and then, so its own hash is not stable (two loaders state two different ones). What
is known is the md5 of each of the 2000 clips (the index of the soundata library, version 2.0); ``--digest`` is one
sha256 over that list.
"""

from __future__ import annotations

from dataclasses import dataclass

from esc50 import digest, find

from asit.config import Options, option, parse
from asit.errors import AsitError, command

PUBLISHED = "7dac98ebb302b554321c1ceacd9ab75bb0769516f66d19b4f3a6a6874355c2f2"


@dataclass(frozen=True)
class CheckSettings(Options):
    """Compare the clips of a copy of ESC-50 with the published ones."""

    corpus: str = option("downloads/ESC-50", "folder with audio/ and meta/esc50.csv, or with ESC-50-master")
    digest: str = option(PUBLISHED, "expected: sha256 over the lines 'md5  name' of audio/*.wav, sorted by name")


@command
def main() -> None:
    """Print the digest; fail when it is another one."""
    settings = parse(CheckSettings)
    folder = find(settings.corpus)
    found = digest(folder)
    if found != settings.digest:
        raise AsitError(
            f"{folder}/audio: expected the published clips (digest {settings.digest}), found others ({found}); remove "
            "the folder and fetch it again. A copy that was converted differs too: give it with --corpus"
        )
    print(f"{folder}/audio: all clips are the published ones")


if __name__ == "__main__":
    raise SystemExit(main())
