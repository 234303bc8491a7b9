"""Features in shared memory: the same rows, each read once per machine, and nothing left behind."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.small_pool import make_pool

from asit.data import cache as module
from asit.data.cache import BLOCK, FrameCache, room, size_of
from asit.data.dataset import FeatureDataset
from asit.errors import AsitError
from asit.train import caching

LENGTHS = [1, BLOCK, BLOCK + 1, 2 * BLOCK + 100, 37]
MELS = 3
frames = np.array(LENGTHS, dtype=np.int64)
truth = [1000 * i + np.arange(n * MELS, dtype=np.float32).reshape(n, MELS) for i, n in enumerate(LENGTHS)]


class Source:
    """The rows on the disk, and who asked for which."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int, int]] = []

    def __call__(self, index: int, first: int, last: int) -> np.ndarray:
        self.asked.append((index, first, last))
        return truth[index][first:last]


@given(st.lists(st.tuples(st.integers(0, len(LENGTHS) - 1), st.integers(0, 10**6), st.integers(0, 10**6)), max_size=20))
@settings(max_examples=40, deadline=None)
def test_same_rows_each_read_once(wanted: list[tuple[int, int, int]]) -> None:
    memory = FrameCache(frames, MELS, f"asit-test-{os.getpid()}")
    memory.forget_name()
    source = Source()
    for index, a, b in wanted:
        first, last = sorted((a % LENGTHS[index], b % LENGTHS[index]))
        rows = memory.read(index, first, last + 1, source)
        np.testing.assert_array_equal(rows, truth[index][first : last + 1])
        assert not rows.flags.writeable
    assert len(source.asked) == len(set(source.asked))


def test_a_crop_of_a_long_clip_reads_its_surroundings_only() -> None:
    memory, source = FrameCache(frames, MELS, f"asit-test-{os.getpid()}"), Source()
    memory.forget_name()
    memory.read(3, 10, 20, source)
    assert source.asked == [(3, 0, BLOCK)]
    memory.read(3, BLOCK - 1, 2 * BLOCK + 5, source)
    assert source.asked[1:] == [(3, BLOCK, 2 * BLOCK), (3, 2 * BLOCK, 2 * BLOCK + 100)]


def test_processes_share_it_and_it_is_gone_when_one_is_killed(tmp_path: Path) -> None:
    name = f"asit-test-{os.getpid()}"
    memory = FrameCache(frames, MELS, name, tmp_path)

    def child() -> None:
        other = FrameCache(frames, MELS, name, tmp_path)  # by its name, as another rank
        other.read(1, 0, 5, Source())
        memory.read(2, 0, 5, Source())  # through the fork, as a loader's worker
        os.kill(os.getpid(), signal.SIGKILL)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    source = Source()
    np.testing.assert_array_equal(memory.read(1, 0, 5, source), truth[1][:5])
    np.testing.assert_array_equal(memory.read(2, 0, 5, source), truth[2][:5])
    assert source.asked == []
    memory.forget_name()
    memory.forget_name()
    assert list(tmp_path.iterdir()) == []


def test_a_fault_while_reading_leaves_the_rows_to_be_read_again() -> None:
    memory = FrameCache(frames, MELS, f"asit-test-{os.getpid()}")
    memory.forget_name()

    def broken(index: int, first: int, last: int) -> np.ndarray:
        raise AsitError("no such file")

    with pytest.raises(AsitError, match="no such file"):
        memory.read(0, 0, 1, broken)
    np.testing.assert_array_equal(memory.read(0, 0, 1, Source()), truth[0])


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, first: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(AsitError, match=r"GiB of shared memory wanted: No space left on device; use --cache none"):
        FrameCache(frames, MELS, "x", tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(AsitError, match="cannot make shared memory: No such file or directory"):
        FrameCache(frames, MELS, "x", tmp_path / "absent")


def test_room_is_what_the_tightest_limit_leaves(tmp_path: Path) -> None:
    assert room(tmp_path / "absent") == 0
    status = os.statvfs(tmp_path)
    assert 0 < room(tmp_path) <= status.f_blocks * status.f_frsize


@pytest.mark.parametrize("compression", [0, 2, 5])
def test_auto_is_for_archives_that_lie_by_column(tmp_path: Path, compression: int) -> None:
    data = FeatureDataset(make_pool(tmp_path / "data", compression=compression))
    plain = [data.read(i).copy() for i in range(len(data))]
    caching.share_memory(data, "auto")
    assert (data.cache is not None) == (compression == 2)
    caching.share_memory(data, "memory")
    for _ in range(2):
        for i, expected in enumerate(plain):
            np.testing.assert_array_equal(data.read(i), expected)
    assert not [p for p in module.FOLDER.glob("asit-*") if not p.name.startswith("asit-test-")]


def test_a_broken_archive_is_named_when_it_is_read(tmp_path: Path) -> None:
    data = FeatureDataset(make_pool(tmp_path / "data"))
    (tmp_path / "data/f.ark").unlink()
    caching.share_memory(data, "auto")
    with pytest.raises(AsitError, match=r"utterance utt000: .*no such file"):
        data.read(0)


def test_auto_keeps_half_of_the_memory_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = FeatureDataset(make_pool(tmp_path / "data", compression=2))
    need = size_of(data.num_frames, data.num_mels)
    for free, taken in ((2 * need - 1, False), (2 * need, True)):
        data.cache = None
        monkeypatch.setattr(caching, "room", lambda free=free: free)
        caching.share_memory(data, "auto")
        assert (data.cache is not None) == taken
