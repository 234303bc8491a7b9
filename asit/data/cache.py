"""Rows of a data directory's features in memory that the processes of a machine share. Letters: T frames, F mel bins.

A row is read and decoded once per machine, whichever process first asks for it, and then copied by none. The memory
is a file on a memory file system which every process maps and which loses its name as soon as all have it: it is
gone with the last of them, however they end.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from asit.errors import AsitError

FOLDER = Path("/dev/shm")
BLOCK = 512  # rows that are read at once: about a crop, so that of an hour-long recording only those are read
Fill = Callable[[int, int, int], np.ndarray]
_lock = threading.Lock()


class FrameCache:
    """Room for all rows, filled as they are asked for.

    Two processes that ask for the same rows at the same time both read them and write the same values.

    Args:
        num_frames: int64 (clips,), T of each.
        num_mels: F.
        name: of the file, the same for all processes that are to share it; see :meth:`forget_name`.

    Raises:
        AsitError: no memory file system, or not enough room on it; the room is taken at once, for a process that
            runs out of it later would be killed without a word.
    """

    def __init__(self, num_frames: np.ndarray, num_mels: int, name: str, folder: Path = FOLDER) -> None:
        self.path = folder / name
        self._first_row = np.concatenate([[0], np.cumsum(num_frames)])
        self._first_block = np.concatenate([[0], np.cumsum(-(-num_frames // BLOCK))])
        self._frames = num_frames
        rows, blocks = int(self._first_row[-1]), int(self._first_block[-1])
        self.bytes = size_of(num_frames, num_mels)
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AsitError(f"{self.path}: cannot make shared memory: {error.strerror}; use --cache none") from None
        try:
            os.posix_fallocate(descriptor, 0, self.bytes)
            memory = mmap.mmap(descriptor, self.bytes)
        except OSError as error:
            self.forget_name()
            raise AsitError(
                f"{self.path}: {self.bytes / 2**30:.1f} GiB of shared memory wanted: {error.strerror}; use --cache none"
            ) from None
        finally:
            os.close(descriptor)
        self._there = np.frombuffer(memory, np.uint8, blocks, rows * num_mels * 4)
        self._rows = np.frombuffer(memory, np.float32, rows * num_mels).reshape(rows, num_mels)

    def forget_name(self) -> None:
        """Take the name away; call it when all processes have the memory."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def read(self, index: int, first: int, last: int, fill: Fill) -> np.ndarray:
        """Rows [first, last) of a clip, float32, read-only; ``fill(index, first, last)`` reads those not there yet."""
        start, frames, block0 = int(self._first_row[index]), int(self._frames[index]), int(self._first_block[index])
        for block in range(first // BLOCK, -(-last // BLOCK)):
            if not self._there[block0 + block]:
                begin, end = block * BLOCK, min((block + 1) * BLOCK, frames)
                self._rows[start + begin : start + end] = fill(index, begin, end)
                _fence()
                self._there[block0 + block] = 1  # behind the rows, so that who sees it sees them
        _fence()
        rows = self._rows[start + first : start + last]
        rows.flags.writeable = False
        return rows


def _fence() -> None:
    """Order the memory accesses before it and after it, which not all processors do by themselves (ARM).

    Releasing a lock comes after all accesses before it, taking one before all accesses after it, and the second
    taking after the first release.
    """
    for _ in range(2):
        with _lock:
            pass


def size_of(num_frames: np.ndarray, num_mels: int) -> int:
    """Bytes that a :class:`FrameCache` takes."""
    return int(num_frames.sum()) * num_mels * 4 + int((-(-num_frames // BLOCK)).sum())


def room(folder: Path = FOLDER) -> int:
    """Bytes that can be taken from shared memory now: what the file system, the machine and the job have left."""
    if not folder.is_dir():
        return 0
    status = os.statvfs(folder)
    found = [status.f_bavail * status.f_frsize]
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")))
    with contextlib.suppress(OSError, ValueError, StopIteration):  # a limit of the job, as schedulers set it
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        group = Path("/sys/fs/cgroup") / next(line[3:].strip("/") for line in lines if line.startswith("0::"))
        found.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(0, min(found))
