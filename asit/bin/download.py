"""Fetch a corpus file that is known by its hash and, if wanted, unpack it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from asit.config import REQUIRED, Options, option, parse
from asit.errors import command
from asit.io.checksum import hash_of
from asit.io.download import download
from asit.io.unpack import extract


@dataclass(frozen=True)
class Settings(Options):
    """Fetch a file from the first source that has it, resume what was cut off, check it, unpack it."""

    sources: tuple[str, ...] = option(
        REQUIRED, "tried in order: https://, http:// or file:// addresses, files, folders that hold the file"
    )
    out: str = option(REQUIRED, "file to write; one that is there with the right hash is not fetched again")
    sha256: str = option(
        REQUIRED, "of the whole file, 64 hexadecimal digits; unpublished: nobody states one, check the content instead"
    )
    extract_to: str | None = option(None, "new folder to unpack the tar or zip archive into; none: do not")


@command
def main() -> None:
    """``asit-download --sources https://host/a.tar.gz /mnt/mirror --out downloads/a.tar.gz --sha256 HEX``."""
    settings = parse(Settings)
    known = settings.sha256.lower() != "unpublished"
    path = download(settings.sources, settings.out, settings.sha256 if known else None)
    print(f"{path}: sha256 {hash_of(path)}{'' if known else ' (not compared: none was given)'}")
    if settings.extract_to is not None:
        print(f"{extract(path, settings.extract_to)}: unpacked from {path}")


if __name__ == "__main__":
    sys.exit(main())
