"""Unpacking tar and zip archives from elsewhere: nothing is written outside the folder, or half."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib

from tqdm import tqdm

from asit.errors import AsitError, excerpt
from asit.io import atomic

MARKER = ".extracted"
# What Python's readers raise on bytes that are not what they expect.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    NotImplementedError,  # zipfile, of a version it does not know
    struct.error,
    EOFError,
    ValueError,
    LookupError,
    ArithmeticError,
)
_COMPRESSED = (gzip.GzipFile, bz2.BZ2File, lzma.LZMAFile)


def extract(archive: str | os.PathLike[str], out_dir: str | os.PathLike[str]) -> str:
    """Unpack a tar (plain, gz, bz2, xz) or zip archive into a new folder, which appears when it is whole.

    A folder that this archive was unpacked to before is left as it is.

    Returns:
        The folder.

    Raises:
        AsitError: not such an archive, truncated or damaged anywhere (checksums are read to the end), a member with an
            absolute name or ``..``, a link that leads out or nowhere, a device, an encrypted member or one of a
            compression that Python does not know, too little space, or a folder that holds other things.
    """
    archive, out_dir = os.fspath(archive), os.fspath(out_dir).rstrip(os.sep)
    try:
        state = f"{os.path.basename(archive)} {os.path.getsize(archive)}\n"
    except OSError as error:
        raise AsitError(f"{archive}: cannot read: {error.strerror}") from None
    marker = os.path.join(out_dir, MARKER)
    if os.path.isfile(marker):
        with open(marker, encoding="utf-8", errors="replace") as stream:
            if stream.read() == state:
                return out_dir
    if os.path.lexists(out_dir) and (not os.path.isdir(out_dir) or os.listdir(out_dir)):
        raise AsitError(f"{out_dir}: exists and was not unpacked from {archive}; move it away")
    folder = atomic.temporary_name(out_dir)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        os.makedirs(folder)
        _unpack(archive, folder)
        with open(os.path.join(folder, MARKER), "w", encoding="utf-8") as stream:
            stream.write(state)
        if os.path.isdir(out_dir):
            os.rmdir(out_dir)
        os.rename(folder, out_dir)
    except _DAMAGE as error:
        raise _damaged(archive, error) from None
    except OSError as error:
        if error.errno is None:  # bz2 has no error of its own
            raise _damaged(archive, error) from None
        raise atomic.cannot_write(out_dir, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return out_dir


def _unpack(archive: str, folder: str) -> None:
    if zipfile.is_zipfile(archive):
        _unzip(archive, folder)
    elif tarfile.is_tarfile(archive):
        _untar(archive, folder)
    else:
        raise AsitError(
            f"{archive}: expected a tar (plain, gz, bz2, xz) or zip archive, found something else, or one that is "
            "damaged from its beginning; fetch it again"
        )


def _damaged(archive: str, error: Exception) -> AsitError:
    return AsitError(f"{archive}: cannot be unpacked: {excerpt(error, 160) or type(error).__name__}; fetch it again")


class _Member(tarfile.TarInfo):
    """A member whose head is right: tarfile takes a damaged one, or the end of the file, for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(tar)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:
            raise tarfile.ReadError(f"{error} at byte {tar.offset}") from None
        except tarfile.EmptyHeaderError:
            if tar.offset == 0 or isinstance(tar.fileobj, _COMPRESSED):  # of these the length is known
                raise
            raise tarfile.ReadError(
                f"truncated at byte {tar.offset}: the blocks that end an archive are missing"
            ) from None


def _untar(archive: str, folder: str) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise AsitError("this Python cannot unpack archives safely; use 3.10.12, 3.11.4 or newer")
    free = shutil.disk_usage(folder).free
    written = 0
    with tarfile.open(archive, tarinfo=_Member) as tar:
        for member in tqdm(tar, os.path.basename(archive), disable=None):
            _check_name(archive, member.name)
            if member.size < 0:
                raise tarfile.ReadError(f"'{member.name}' has {member.size} bytes")
            written += member.size
            if written > free:
                raise AsitError(f"{archive}: needs more than the {free} bytes that are free at {folder}")
            try:
                tar.extract(member, folder, filter="data")
            except tarfile.FilterError as error:
                raise AsitError(f"{archive}: refused: {error}; such archives can overwrite other files") from None
            except KeyError:  # of a hard link
                raise _no_target(archive, member) from None
            if not os.path.lexists(os.path.join(folder, member.name)):  # tarfile has passed over it without a word
                raise _no_target(archive, member)
        while tar.fileobj is not None and tar.fileobj.read(1 << 20):  # up to the checksum at the end of the file
            pass


def _no_target(archive: str, member: tarfile.TarInfo) -> AsitError:
    return AsitError(
        f"{archive}: '{excerpt(member.name)}' cannot be unpacked: it links to '{excerpt(member.linkname)}', which the "
        "archive does not have before it; fetch it again"
    )


def _unzip(archive: str, folder: str) -> None:
    with zipfile.ZipFile(archive) as bundle:
        members = bundle.infolist()
        _check_count(archive, bundle)
        needed, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
        if needed > free:
            raise AsitError(f"{archive}: needs {needed} bytes, {free} are free at {folder}")
        for member in members:
            _check_name(archive, member.filename)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise AsitError(
                    f"{archive}: refused: '{member.filename}' is a link, which zip archives here may not hold"
                )
            if member.flag_bits & 0x41:  # 1: encrypted, 0x40: strongly
                raise AsitError(f"{archive}: '{member.filename}' is encrypted; unpack it by hand")
        for member in tqdm(members, os.path.basename(archive), disable=None):
            try:
                bundle.extract(member, folder)
            except (NotImplementedError, RuntimeError) as error:  # a method that Python does not know
                reason = excerpt(error, 160)
                raise AsitError(f"{archive}: '{member.filename}': {reason}; unpack it with another program") from None


def _check_count(archive: str, bundle: zipfile.ZipFile) -> None:
    """zipfile reads the directory of an archive by its length, not its count: a wrong length in it hides a member."""
    with open(archive, "rb") as file:
        file.seek(-22 - len(bundle.comment), os.SEEK_END)  # the record that ends an archive
        count = int.from_bytes(file.read(12)[10:], "little")
    found = len(bundle.infolist())
    if count not in (found & 0xFFFF, 0xFFFF):  # 0xFFFF: more, the number is elsewhere (zip64)
        raise zipfile.BadZipFile(f"expected {count} members, found {found}")


def _check_name(archive: str, name: str) -> None:
    """Refuse names that mean a place outside the folder, also where Python would quietly shorten them."""
    words = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or words[0][1:2] == ":" or ".." in words:
        raise AsitError(f"{archive}: refused: member '{name}' is outside the folder to unpack to")
