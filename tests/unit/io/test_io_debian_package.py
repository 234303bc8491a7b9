from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import pytest
from debian_packages import build_deb
from hypothesis import given, settings
from hypothesis import strategies as st

from asit.errors import AsitError
from asit.io.debian_package import Package, find_deb, read_deb, read_packages


@dataclasses.dataclass(frozen=True)
class Voice(Package):
    voice: str


@pytest.fixture
def package(tmp_path: Path) -> Package:
    path = tmp_path / "p_1_all.deb"
    path.write_bytes(build_deb("1", {"usr/share/a.wav": b"abc", "usr/b": b""}))
    return Package("p", "1", hashlib.sha256(path.read_bytes()).hexdigest())


def test_files_are_read(tmp_path: Path, package: Package) -> None:
    path = find_deb(tmp_path, package, fetch=False)
    assert path == tmp_path / "p_1_all.deb"
    assert read_deb(path, package) == {"usr/share/a.wav": b"abc", "usr/b": b""}
    assert read_deb(path, package, lambda name: name.endswith(".wav")) == {"usr/share/a.wav": b"abc"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (build_deb("1", {"a": b"other"}), "damaged: expected sha256 .*, found"),
        (build_deb("2", {}), "expected version 1, found 2; .* fetch it again"),
        (b"<html>", "expected a Debian package"),
        (build_deb("1", {})[:150], "(?s)damaged package .* fetch it again"),
        (build_deb("1", {})[:100], "the download is truncated|damaged package"),
        (b"!<arch>\n" + b"x" * 60, "damaged package"),
    ],
)
def test_other_bytes_are_refused(tmp_path: Path, package: Package, content: bytes, message: str) -> None:
    path = tmp_path / "p_1_all.deb"
    path.write_bytes(content)
    with pytest.raises(AsitError, match=message):
        read_deb(path, package)


def test_what_is_in_the_folder(tmp_path: Path, package: Package) -> None:
    with pytest.raises(AsitError, match=r"no q_\*\.deb; put version 1 there"):
        find_deb(tmp_path, dataclasses.replace(package, package="q"), fetch=False)
    (tmp_path / "p_2_all.deb").write_bytes(b"")
    with pytest.raises(AsitError, match=r"expected one p_\*\.deb, found 2; keep one"):
        find_deb(tmp_path, package)


def test_packages_are_fetched_into_a_new_folder(
    tmp_path: Path, package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    apt = tmp_path / "bin" / "apt-get"
    apt.write_text('#!/bin/sh\n[ "$1 $2" = "download p=1" ] && : > p_1_all.deb\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert find_deb(tmp_path / "new folder", package) == tmp_path / "new folder" / "p_1_all.deb"
    apt.write_text("#!/bin/sh\nexit 100\n")
    with pytest.raises(AsitError, match=r"`apt-get download p=1` failed .* run apt-get update"):
        find_deb(tmp_path / "empty", package)


def test_tables_of_packages(tmp_path: Path) -> None:
    table = tmp_path / "packages.tsv"
    table.write_text("voice\tpackage\tversion\tsha256\tmore\nann\tp\t1\tab\t-\n")
    assert read_packages(table, Voice) == [Voice("p", "1", "ab", "ann")]
    assert read_packages(table, Package) == [Package("p", "1", "ab")]
    table.write_text("package\tversion\tsha256\np\t1\n")
    with pytest.raises(AsitError, match=r"packages.tsv:2: expected 3 fields, found 2"):
        read_packages(table, Package)
    with pytest.raises(AsitError, match=r"packages.tsv:1: expected the columns .* none named voice"):
        read_packages(table, Voice)
    with pytest.raises(AsitError, match="cannot read"):
        read_packages(tmp_path / "other.tsv", Package)


@settings(max_examples=60, deadline=2000)
@given(st.floats(0, 0.999), st.integers(1, 255), st.booleans())
def test_fuzz(tmp_path_factory: pytest.TempPathFactory, place: float, mask: int, cut: bool) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "p_1_all.deb"
    data = bytearray(build_deb("1", {"usr/a.wav": b"abc"}))
    at = int(len(data) * place)
    data[at] ^= mask
    path.write_bytes(bytes(data[:at] if cut else data))
    with pytest.raises(AsitError, match=r"p_1_all\.deb: "):
        read_deb(path, Package("p", "1", "0" * 64))


@pytest.mark.parametrize("size", ["-60", "-1", "x", "9" * 9])
def test_a_size_that_leads_nowhere(tmp_path: Path, package: Package, size: str) -> None:
    """-60 made the reader look at the same member for ever."""
    path = tmp_path / "p_1_all.deb"
    path.write_bytes(b"!<arch>\n" + b"debian-binary".ljust(48) + size.encode().ljust(10) + b"`\n" + bytes(200))
    with pytest.raises(AsitError, match=r"damaged package|no control\.tar"):
        read_deb(path, package)


def test_a_table_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"package\xff")
    with pytest.raises(AsitError, match="expected UTF-8"):
        read_packages(tmp_path / "t", Package)
