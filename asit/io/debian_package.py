"""Reading a Debian binary package without dpkg: an ar archive that holds control.tar.* and data.tar.* (man 5 deb)."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import lzma
import os
import re
import struct
import subprocess
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from asit.errors import AsitError, excerpt

REMEDY = "the corpus is defined by exactly this version: fetch it again, or put that version there"
# What Python's readers raise on bytes that are not what they expect; OSError: gzip's and bz2's own errors.
_DAMAGE = (ValueError, LookupError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error, struct.error, OSError)
MOST_CONTROL = 1 << 20  # bytes of a package's control file; the usual one has some hundred


@dataclass(frozen=True)
class Package:
    """A package that a corpus is made of. A recipe that says more of each in its table derives from this class."""

    package: str
    version: str
    sha256: str  # of the .deb file


P = TypeVar("P", bound=Package)


def read_packages(path: str | os.PathLike[str], kind: type[P]) -> list[P]:
    """The rows of a table of packages: tab-separated, named columns, at least those that `kind` has as fields.

    Raises:
        AsitError: no such file, a column is missing, or a line of another number of fields.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise AsitError(f"{path}: cannot read: {error.strerror}; restore it from git") from None
    except UnicodeDecodeError as error:
        found = error.object[error.start]
        raise AsitError(f"{path}: expected UTF-8, found byte {found:#04x}; restore it from git") from None
    header = lines[0].split("\t") if lines else []
    names = [field.name for field in dataclasses.fields(kind)]
    missing = [name for name in names if name not in header]
    if missing:
        raise AsitError(f"{path}:1: expected the columns {' '.join(names)}, found none named {' '.join(missing)}")
    found = []
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if len(fields) != len(header):
            raise AsitError(f"{path}:{number}: expected {len(header)} fields, found {len(fields)}")
        row = dict(zip(header, fields, strict=True))
        found.append(kind(**{name: row[name] for name in names}))
    return found


def find_deb(folder: str | os.PathLike[str], package: Package, fetch: bool = True) -> Path:
    """The package's .deb in `folder`; where the folder has none, `apt-get download` brings it there.

    Raises:
        AsitError: it is not there and may not or cannot be fetched, or there are several.
    """
    folder = Path(folder)
    pattern = f"{package.package}_*.deb"
    found = sorted(folder.glob(pattern))
    if not found and not fetch:
        raise AsitError(f"{folder}: no {pattern}; put version {package.version} there")
    if not found:
        command = ["apt-get", "download", f"{package.package}={package.version}"]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(command, cwd=folder, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise AsitError(
                f"{folder}: no {pattern}, and `{' '.join(command)}` failed ({error}); "
                f"run apt-get update and try again, or put version {package.version} there"
            ) from error
        found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise AsitError(f"{folder}: expected one {pattern}, found {len(found)}; keep one")
    return found[0]


def read_deb(
    path: str | os.PathLike[str], package: Package, wanted: Callable[[str], bool] | None = None
) -> dict[str, bytes]:
    """Regular files of the package: name without leading ``./`` -> content.

    Args:
        path: the .deb file.
        package: what it has to be.
        wanted: the names to read; all by default.

    Raises:
        AsitError: another version or other bytes than `package` names, or not a Debian package.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise AsitError(f"{path}: cannot read: {error.strerror}") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != package.sha256:
        version = _version(data, path)
        if version != package.version:
            raise AsitError(f"{path}: expected version {package.version}, found {version}; {REMEDY}")
        raise AsitError(f"{path}: damaged: expected sha256 {package.sha256}, found {digest}; {REMEDY}")
    try:
        return _members(data, "data.tar", path, wanted)
    except _DAMAGE as error:
        raise AsitError(f"{path}: cannot be unpacked: {excerpt(error, 160)}") from None


def _version(data: bytes, path: str | os.PathLike[str]) -> str:
    try:
        control = _members(data, "control.tar", path, lambda name: name == "control", MOST_CONTROL)["control"]
        match = re.search(r"^Version: (.*)$", control.decode("utf-8"), re.MULTILINE)
    except _DAMAGE as error:
        raise AsitError(f"{path}: damaged package ({excerpt(error, 160)}); fetch it again") from None
    return match.group(1) if match else "none"


def _members(
    data: bytes,
    start: str,
    path: str | os.PathLike[str],
    wanted: Callable[[str], bool] | None,
    most: int | None = None,
) -> dict[str, bytes]:
    """Files of the archive that begins with ``start``, each of at most ``most`` bytes; raises ``_DAMAGE``."""
    if data[:8] != b"!<arch>\n":
        raise AsitError(f"{path}: expected a Debian package (an ar archive), found something else; fetch it again")
    at = 8
    while at + 60 <= len(data):
        header = data[at : at + 60]
        size = int(header[48:58])
        if size < 0:
            raise ValueError(f"a member of {size} bytes")
        if header[:16].decode("ascii").strip().startswith(start):
            with tarfile.open(fileobj=io.BytesIO(data[at + 60 : at + 60 + size])) as tar:
                files = [(m.name.removeprefix("./"), m) for m in tar if m.isreg()]
                chosen = [(name, m) for name, m in files if wanted is None or wanted(name)]
                large = [name for name, m in chosen if most is not None and m.size > most]
                if large:
                    raise ValueError(f"'{large[0]}' has more than {most} bytes")
                return {name: tar.extractfile(m).read() for name, m in chosen}  # type: ignore[union-attr]
        at += 60 + size + size % 2
    raise AsitError(f"{path}: no {start}.* inside; the download is truncated, fetch it again")
