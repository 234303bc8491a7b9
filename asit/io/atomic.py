"""Files that appear whole or not at all: written beside the final name, fsynced, renamed."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from asit.errors import AsitError


def temporary_name(path: str | os.PathLike[str]) -> str:
    """The name that `path` has while it is being written: same folder, so that the rename is atomic.

    >>> temporary_name("exp/a.txt").startswith("exp/a.txt.tmp-")
    True
    """
    return f"{os.fspath(path)}.tmp-{os.getpid()}"


@contextlib.contextmanager
def atomic_open(path: str | os.PathLike[str], mode: str = "w", **kwargs: Any) -> Iterator[IO[Any]]:
    """Open `path` for writing; the name appears only when the block ends without an exception.

    Missing parent folders are made. Text is UTF-8 with ``\\n`` line ends. `mode` is "w" or "wb".

    Raises:
        AsitError: the file cannot be written (no permission, disk full, the name is a folder).
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        raise AsitError(f"{path}: expected a file to write, found a folder; remove it or choose another name")
    if "b" not in mode:
        kwargs = {"encoding": "utf-8", "newline": "\n", **kwargs}
    temporary = temporary_name(path)
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        stream = open(temporary, mode, **kwargs)  # noqa: SIM115 - closed below, before the rename
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield stream
        commit(stream, temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            stream.close()
        remove(temporary)
        if isinstance(error, OSError) and _about(error, temporary):
            raise cannot_write(path, error) from error
        raise


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A new folder to write files into; it gets its name when the block ends without an exception.

    Raises:
        AsitError: something is there already that is no empty folder, or the folder cannot be written.
    """
    path = os.path.normpath(os.fspath(path))
    if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise AsitError(f"{path}: is there already; remove it or choose another folder")
    temporary = Path(temporary_name(path))
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        os.replace(temporary, path)
        sync_folder(os.path.dirname(path) or ".")
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from error
        raise


def commit(stream: IO[Any], temporary: str, path: str) -> None:
    """Flush, fsync and close `stream`, then give `temporary` its final name."""
    stream.flush()
    os.fsync(stream.fileno())
    stream.close()
    os.replace(temporary, path)
    sync_folder(os.path.dirname(path) or ".")


def sync_folder(path: str) -> None:
    """Make renames in a folder survive a power cut, where the file system can do that."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse fsync on folders; the rename itself is done
    finally:
        os.close(descriptor)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 under `path`, whole or not at all."""
    with atomic_open(path) as stream:
        stream.write(text)


def sweep(path: str | os.PathLike[str]) -> list[str]:
    """Delete what killed writers of `path` left (``path.tmp-<process>``), or those of all files in the folder
    `path`. Only for a path's single owner."""
    folder, name = os.path.split(os.fspath(path))
    of_one = re.escape(name)
    if os.path.isdir(path):
        folder, of_one = os.fspath(path), ".+"
    found = []
    with contextlib.suppress(FileNotFoundError):
        found = [os.path.join(folder, n) for n in os.listdir(folder or ".") if re.fullmatch(rf"{of_one}\.tmp-\d+", n)]
    for orphan in found:
        remove(orphan)
    return sorted(found)


def remove(path: str) -> None:
    """Delete a file that may be absent."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def cannot_write(path: str, error: OSError) -> AsitError:
    """The error to raise when writing `path` failed with `error`."""
    remedy = "free some space and run again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check the path"
    return AsitError(f"{path}: cannot write: {error.strerror or error}; {remedy}")


def _about(error: OSError, temporary: str) -> bool:
    """Whether `error` comes from writing the temporary file, not from something else in the block."""
    if error.filename is None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
    return os.fspath(error.filename) == temporary


def free_name(place: str | os.PathLike[str]) -> Path:
    """Where a folder that makes room for a new one is kept: the first of ``<place>.old-1``, ``<place>.old-2``, ... that
    is free."""
    names = (Path(f"{os.fspath(place)}.old-{number}") for number in itertools.count(1))
    return next(name for name in names if not name.exists())
