from __future__ import annotations

import io
import os
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asit.errors import AsitError
from asit.io.unpack import extract


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
@pytest.mark.usefixtures("tar_archives")
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
@pytest.mark.usefixtures("tar_archives")
def test_tar_members_that_lead_out_are_refused(tmp_path, name, content):
    path = tar(tmp_path / "a.tar.gz", [("good", b"x"), (name, content)])
    with pytest.raises(AsitError, match=r"a.tar.gz: refused"):
        extract(path, tmp_path / "in" / "out")
    assert sorted(os.listdir(tmp_path)) == ["a.tar.gz", "in"]
    assert os.listdir(tmp_path / "in") == []


@pytest.mark.usefixtures("tar_archives")
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
    with pytest.raises(AsitError, match=r"a.zip: refused: member .* is outside"):
        extract(tmp_path / "a.zip", tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_zip_links_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(AsitError, match="is a link"):
        extract(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.usefixtures("tar_archives")
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


def damaged(data: bytes, place: float) -> bytes:
    at = int(len(data) * place)
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


BULK = [(f"x{i}.wav", os.urandom(3000)) for i in range(8)]


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("place", [0.3, 0.6, 0.9, "crc", "cut"])
@pytest.mark.usefixtures("tar_archives")
def test_damage_anywhere_is_noticed_and_leaves_nothing(tmp_path, mode, place):
    """Also in a checksum that stands behind the last member, which tarfile never reads."""
    path = tar(tmp_path / "a.tar", BULK, mode)
    data = path.read_bytes()
    end = {"crc": data[:-6] + bytes([data[-6] ^ 1]) + data[-5:], "cut": data[:-20]}
    path.write_bytes(end[place] if place in end else damaged(data, place))
    with pytest.raises(AsitError, match=r"a\.tar: .*fetch it again"):
        extract(path, tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.tar"]


@pytest.mark.parametrize("change", ["head", "cut", "link", "self"])
@pytest.mark.usefixtures("tar_archives")
def test_a_plain_tar_that_is_damaged_or_incomplete(tmp_path, change):
    """tarfile takes a damaged head for the end, and a link without a target for a trifle."""
    members = list(BULK)
    if change in ("link", "self"):
        members.append(("y", (tarfile.LNKTYPE, "gone" if change == "link" else "y")))
    path = tar(tmp_path / "a.tar", members, "w")
    data = path.read_bytes()
    if change == "head":
        path.write_bytes(data[: 4 * 3584] + b"\xff" + data[4 * 3584 + 1 :])
    if change == "cut":
        path.write_bytes(data[: 4 * 3584])
    with pytest.raises(AsitError, match=r"a\.tar: .*fetch it again"):
        extract(path, tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.tar"]


@pytest.mark.usefixtures("tar_archives")
def test_more_than_the_disk_holds_is_refused_before_it_is_written(tmp_path):
    path = tmp_path / "a.tar"
    info = tarfile.TarInfo("x")
    info.size = 1 << 60
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(AsitError, match="needs more than"):
        extract(path, tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.tar"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("method", "compression"),
        ("crc", "CRC|fetch it again"),
        ("encrypted", "is encrypted"),
        ("strong", "is encrypted"),
        ("cut", "fetch it again"),
    ],
)
def test_zips_that_cannot_be_read(tmp_path, change, says):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.wav", os.urandom(2000))
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\1\2")
    if change == "method":
        data[8:10] = data[central + 10 : central + 12] = b"\x63\0"
    elif change == "crc":
        data[500] ^= 1
    elif change in ("encrypted", "strong"):
        data[6] |= (flag := 1 if change == "encrypted" else 0x40)
        data[central + 8] |= flag
    else:
        data = data[:-40]
    path.write_bytes(bytes(data))
    with pytest.raises(AsitError, match=says):
        extract(path, tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_a_zip_whose_directory_hides_a_member(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in BULK[:3]:
            archive.writestr(name, content)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 32] = 46 + len(BULK[1][0])  # the length of the first member's comment
    path.write_bytes(bytes(data))
    with pytest.raises(AsitError, match="expected 3 members, found 2; fetch it again"):
        extract(path, tmp_path / "out")
    assert os.listdir(tmp_path) == ["a.zip"]


@settings(max_examples=60, deadline=2000)
@given(st.sampled_from(["w", "w:gz", "w:xz", "w:bz2", "zip"]), st.floats(0, 0.999), st.integers(1, 255), st.booleans())
def test_fuzz(tmp_path_factory, mode, place, mask, cut):
    """A changed byte or a cut: everything is unpacked, or there is an error and nothing."""
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "a"
    if mode == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in BULK[:3]:
                archive.writestr(name, content)
    else:
        tar(path, BULK[:3], mode)
    data, at = bytearray(path.read_bytes()), int(path.stat().st_size * place)
    data[at] ^= mask
    path.write_bytes(bytes(data[:at] if cut else data))
    try:
        extract(path, folder / "out")
    except AsitError:
        assert os.listdir(folder) == ["a"]
    else:
        assert len([p for p in (folder / "out").rglob("*") if p.is_file()]) == 3 + 1
