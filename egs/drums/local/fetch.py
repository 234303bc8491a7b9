#!/usr/bin/env python3
"""The packages of local/packages.tsv in a folder: those that it lacks are fetched with `apt-get download`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.io.checksum import hash_of
from asit.io.debian_package import REMEDY, Package, find_deb, read_packages


@dataclass(frozen=True)
class FetchSettings(Options):
    """Bring the packages."""

    corpus: str = option("downloads/debs", "folder of the .deb files")
    tables: str = option("local", "folder of packages.tsv")


@command
def main() -> None:
    """Find or fetch each package and compare its hash."""
    settings = parse(FetchSettings)
    for package in read_packages(Path(settings.tables, "packages.tsv"), Package):
        deb = find_deb(settings.corpus, package)
        found = hash_of(deb)
        if found != package.sha256:
            raise AsitError(
                f"{deb}: expected version {package.version} with sha256 {package.sha256}, found {found}; {REMEDY}"
            )
        print(f"{deb}: {deb.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    raise SystemExit(main())
