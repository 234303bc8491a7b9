from __future__ import annotations

import io
import os
import tarfile
import zipfile

import pytest

from asit.errors import AsitError
from asit.io.extract import extract


def tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                archive.addfile(info)
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar(tmp_path, mode):
    path = tar(tmp_path / "a b.tar", [("top/x.wav", b"1"), ("top/y", (tarfile.SYMTYPE, "x.wav"))], mode)
    out = tmp_path / "out dir" / "deep"
    assert extract(path, out) == str(out)
    assert (out / "top/y").read_bytes() == b"1"
    (out / "top/x.wav").write_bytes(b"2")
    extract(path, out)  # there already
    assert (out / "top/x.wav").read_bytes() == b"2"
    assert os.listdir(out.parent) == ["deep"]


def test_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("top/x.wav", b"1")
    extract(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out/top/x.wav").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("../evil", b"x"),
        ("a/../../evil", b"x"),
        ("/tmp/asit-evil", b"x"),
        ("link", (tarfile.SYMTYPE, "/etc/passwd")),
        ("link", (tarfile.SYMTYPE, "../evil")),
        ("link", (tarfile.LNKTYPE, "../evil")),
        ("device", (tarfile.CHRTYPE, "")),
        ("pipe", (tarfile.FIFOTYPE, "")),
    ],
)
def test_tar_members_that_lead_out_are_refused(tmp_path, name, content):
    path = tar(tmp_path / "a.tar.gz", [("good", b"x"), (name, content)])
    with pytest.raises(AsitError, match=r"a.tar.gz: refused"):
        extract(path, tmp_path / "in" / "out")
    assert sorted(os.listdir(tmp_path)) == ["a.tar.gz", "in"]
    assert os.listdir(tmp_path / "in") == []


def test_write_through_a_link_is_refused(tmp_path):
    path = tar(tmp_path / "a.tar", [("d", (tarfile.SYMTYPE, "..")), ("d/evil", b"x")])
    with pytest.raises(AsitError, match="refused"):
        extract(path, tmp_path / "in" / "out")
    assert not (tmp_path / "evil").exists()
    assert os.listdir(tmp_path / "in") == []


@pytest.mark.parametrize("name", ["../evil", "/tmp/asit-evil", "C:\\evil", "a\\..\\..\\evil"])
def test_zip_members_that_lead_out_are_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("good", b"x")
        archive.writestr(name, b"x")
    with pytest.raises(AsitError, match=r"a.zip: refused: member .* lies outside"):
        extract(tmp_path / "a.zip", tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_zip_links_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(AsitError, match="is a link"):
        extract(tmp_path / "a.zip", tmp_path / "out")


def test_other_content_truncated_and_occupied(tmp_path):
    (tmp_path / "a.tgz").write_bytes(b"no archive")
    with pytest.raises(AsitError, match="found something else"):
        extract(tmp_path / "a.tgz", tmp_path / "out")
    path = tar(tmp_path / "b.tgz", [("x", os.urandom(50_000)), ("y", os.urandom(50_000))])
    whole = path.read_bytes()
    path.write_bytes(whole[:60_000])
    with pytest.raises(AsitError, match="cannot be unpacked"):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    path.write_bytes(whole)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(AsitError, match="move it away"):
        extract(path, tmp_path / "out")
    with pytest.raises(AsitError, match="cannot read"):
        extract(tmp_path / "none.zip", tmp_path / "out")
