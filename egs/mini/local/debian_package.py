"""Read a Debian binary package without dpkg: an ar archive that holds control.tar.* and data.tar.* (man 5 deb)."""

from __future__ import annotations

import hashlib
import io
import lzma
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from asit.errors import AsitError

REMEDY = "the corpus is defined by exactly these packages; fetch that version or use the FLAC files that are committed"


@dataclass(frozen=True)
class Package:
    """One row of packages.tsv: a voice and the package that carries it."""

    voice: str
    speaker: str
    lang: str
    licence: str
    author: str
    package: str
    version: str
    sha256: str
    prefix: str


def read_packages(path: Path) -> list[Package]:
    """The rows of packages.tsv, in file order."""
    rows = path.read_text(encoding="utf-8").splitlines()
    return [Package(*row.split("\t")) for row in rows[1:]]


def find_deb(folder: Path, package: Package) -> Path:
    """The package's .deb in `folder`, or fetched there by `apt-get download` when the folder has none."""
    found = sorted(folder.glob(f"{package.package}_*.deb"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        command = ["apt-get", "download", f"{package.package}={package.version}"]
        try:
            subprocess.run(command, cwd=folder, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise AsitError(
                f"{folder}: no {package.package}_*.deb, and `{' '.join(command)}` failed ({error}); "
                f"put version {package.version} there"
            ) from error
        found = sorted(folder.glob(f"{package.package}_*.deb"))
    if len(found) != 1:
        raise AsitError(f"{folder}: expected one {package.package}_*.deb, found {len(found)}; keep one")
    return found[0]


def read_deb(path: Path, package: Package) -> dict[str, bytes]:
    """Every regular file of the package: name without leading ``./`` -> content.

    Raises:
        AsitError: another version or other bytes than packages.tsv names, or not a Debian package.
    """
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != package.sha256:
        version = _version(data, path)
        if version != package.version:
            raise AsitError(f"{path}: expected version {package.version}, found {version}; {REMEDY}")
        raise AsitError(f"{path}: expected sha256 {package.sha256}, found {digest}; {REMEDY}")
    return _members(data, "data.tar", path)


def _version(data: bytes, path: Path) -> str:
    try:
        control = _members(data, "control.tar", path)["control"].decode("utf-8")
    except (ValueError, KeyError, EOFError, tarfile.TarError, lzma.LZMAError) as error:
        raise AsitError(f"{path}: damaged package ({error}); fetch it again") from error
    match = re.search(r"^Version: (.*)$", control, re.MULTILINE)
    return match.group(1) if match else "none"


def _members(data: bytes, start: str, path: Path) -> dict[str, bytes]:
    if data[:8] != b"!<arch>\n":
        raise AsitError(f"{path}: expected a Debian package (an ar archive), found something else; fetch it again")
    at = 8
    while at + 60 <= len(data):
        header = data[at : at + 60]
        size = int(header[48:58])
        if header[:16].decode("ascii").strip().startswith(start):
            with tarfile.open(fileobj=io.BytesIO(data[at + 60 : at + 60 + size])) as tar:
                files = [m for m in tar.getmembers() if m.isreg()]
                return {m.name.removeprefix("./"): tar.extractfile(m).read() for m in files}  # type: ignore[union-attr]
        at += 60 + size + size % 2
    raise AsitError(f"{path}: no {start}.* inside; the download is truncated, fetch it again")
