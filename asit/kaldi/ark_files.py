"""Reading bytes out of many large files in random order: few open files, no shared position, errors and not signals.

``pread`` takes its position as an argument, so that descriptors inherited by forked workers cannot disturb one
another. A file that was replaced under its name is opened anew. Memory maps would save one copy of the bytes, but a
file that is cut short, or a file server that goes away, kills a process that reads through a map.
"""

from __future__ import annotations

import contextlib
import os
import resource
import stat
import threading
from collections import OrderedDict

from asit.errors import AsitError

ENVIRONMENT = "ASIT_ARK_OPEN_FILES"
MOST_OPEN = 256  # of each thread; a job rarely has more archives, and a shell's limit is often 1024


class File:
    """One open file, closed when nobody reads it any more. Attribute ``identity``: (device, inode)."""

    def __init__(self, path: str) -> None:
        self.descriptor = -1  # for __del__, when open() fails
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self.descriptor)
        self.identity = (status.st_dev, status.st_ino)

    def __del__(self) -> None:
        if self.descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self.descriptor)

    def read(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes at an offset."""
        return os.pread(self.descriptor, count, offset)

    def fill(self, buffer: memoryview, offset: int) -> int:
        """Read into all of `buffer`, bytes, or up to the end of the file; how many were read."""
        done = self._fill_some(buffer, offset)
        while 0 < done < len(buffer):  # a signal, or more than the 2 GiB that one call reads
            more = self._fill_some(buffer[done:], offset + done)
            if not more:
                break
            done += more
        return done

    def _fill_some(self, buffer: memoryview, offset: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self.descriptor, [buffer], offset)
        found = os.pread(self.descriptor, len(buffer), offset)  # macOS
        buffer[: len(found)] = found
        return len(found)


class OpenFiles(threading.local):
    """The files that a thread keeps open, at most `limit`; the one used longest ago is closed first."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = default_limit() if limit is None else limit
        self.files: OrderedDict[str, File] = OrderedDict()

    def __len__(self) -> int:
        return len(self.files)

    def get(self, path: str) -> tuple[File, int]:
        """The open file of a path, and its size in bytes now.

        Raises:
            OSError: it cannot be opened.
            AsitError: a named pipe.
        """
        status = os.stat(path)
        if stat.S_ISFIFO(status.st_mode):  # opening it would wait for a writer, for ever
            raise AsitError(f"{path}: expected an archive, found a named pipe, which has no positions; write a file")
        file = self.files.get(path)
        if file is not None and file.identity == (status.st_dev, status.st_ino):
            self.files.move_to_end(path)
            return file, status.st_size
        file = File(path)
        if self.limit:
            self.files[path] = file
            self.files.move_to_end(path)
        while len(self.files) > self.limit:
            self.files.popitem(last=False)
        return file, os.fstat(file.descriptor).st_size

    def forget(self, path: str) -> bool:
        """Close a file; whether it was kept open. For errors of a descriptor that a file server no longer knows."""
        return self.files.pop(path, None) is not None


def default_limit() -> int:
    """How many files to keep open: ``ASIT_ARK_OPEN_FILES``, else 256 or a quarter of what the process may open.

    Raises:
        AsitError: the variable is not a whole number.
    """
    text = os.environ.get(ENVIRONMENT)
    if text is not None:
        if not text.isascii() or not text.isdigit():
            raise AsitError(f"{ENVIRONMENT}: expected a number of files, 0 or more, found '{text}'")
        return int(text)
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_OPEN if allowed == resource.RLIM_INFINITY else max(1, min(MOST_OPEN, allowed // 4))
