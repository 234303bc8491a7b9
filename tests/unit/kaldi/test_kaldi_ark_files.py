from __future__ import annotations

import os
import resource
import threading

import numpy as np
import pytest

from asit.errors import AsitError
from asit.kaldi import ark
from asit.kaldi.ark import ArkWriter, read_matrix, read_rows
from asit.kaldi.ark_files import OpenFiles, default_limit


def archive(path, value, rows=50):
    """One utterance of one value; its spec."""
    with ArkWriter(path, None) as writer:
        writer.write("u", np.full((rows, 4), value, np.float32))
    return f"{path}:2"


def open_count():
    return len(os.listdir("/proc/self/fd"))


def test_few_files_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr(ark, "_open_files", OpenFiles(5))
    specs = [archive(tmp_path / f"{i}.ark", i) for i in range(30)]
    before = open_count()
    for _ in range(2):
        for i, spec in enumerate(specs):
            assert read_rows(spec, 3, 5)[0, 0] == i
            assert open_count() - before <= 5
    kept = list(ark._open_files.files)
    assert [os.path.basename(path) for path in kept] == [f"{i}.ark" for i in range(25, 30)]
    read_rows(specs[25], 0, 1)  # now the one used last
    read_rows(specs[0], 0, 1)
    assert str(tmp_path / "25.ark") in ark._open_files.files
    assert str(tmp_path / "26.ark") not in ark._open_files.files


def test_none_stay_open_when_so_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(ark, "_open_files", OpenFiles(0))
    spec = archive(tmp_path / "f.ark", 7)
    before = open_count()
    assert read_matrix(spec).max() == 7
    assert open_count() == before


def test_a_replaced_archive_is_read_anew(tmp_path):
    spec = archive(tmp_path / "f.ark", 1)
    assert read_matrix(spec).max() == 1
    archive(tmp_path / "f.ark", 2, rows=60)
    assert read_matrix(spec).shape == (60, 4)
    os.remove(tmp_path / "f.ark")
    with pytest.raises(AsitError, match="no such file"):
        read_matrix(spec)


def test_an_archive_cut_short_while_it_is_open(tmp_path):
    spec = archive(tmp_path / "f.ark", 1)
    assert read_rows(spec, 0, 2).max() == 1
    os.truncate(tmp_path / "f.ark", 500)
    with pytest.raises(AsitError, match="truncated archive: 50 x 4 FM needs"):
        read_rows(spec, 0, 2)


def test_cut_short_between_head_and_values(tmp_path, monkeypatch):
    """What a network file system shows whose attributes are older than its content."""
    path = tmp_path / "f.ark"
    spec = archive(path, 1)
    read_rows(spec, 0, 2)
    inner = OpenFiles.get
    monkeypatch.setattr(OpenFiles, "get", lambda self, name: (inner(self, name)[0], 10_000))
    os.truncate(path, 500)
    with pytest.raises(AsitError, match="cut short while it was read"):
        read_matrix(spec)


def test_a_stale_descriptor_is_opened_once_more(tmp_path):
    spec = archive(tmp_path / "f.ark", 3)
    read_matrix(spec)
    file, _ = ark._open_files.get(str(tmp_path / "f.ark"))
    os.close(file.descriptor)
    file.descriptor = 1 << 20  # reading fails, as with a handle that a server forgot
    assert read_matrix(spec).max() == 3
    file.descriptor = -1
    ark._open_files.forget(str(tmp_path / "f.ark"))
    os.chmod(tmp_path / "f.ark", 0)
    if os.geteuid():
        with pytest.raises(AsitError, match="cannot read: Permission denied"):
            read_matrix(spec)


def test_short_reads_are_continued(tmp_path, monkeypatch):
    spec = archive(tmp_path / "f.ark", 4)
    inner = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, offset: inner(fd, [buffers[0][:7]], offset))
    assert np.all(read_matrix(spec) == 4)
    monkeypatch.delattr(os, "preadv")
    assert np.all(read_matrix(spec) == 4)


def test_forked_processes_and_threads_do_not_disturb_one_another(tmp_path):
    """They share descriptors; with a shared position rows would be mixed up."""
    path = tmp_path / "f.ark"
    with ArkWriter(path, tmp_path / "f.scp") as writer:
        writer.write("u", np.repeat(np.arange(4000, dtype=np.float32)[:, None], 40, axis=1))

    def check(seed):
        random = np.random.default_rng(seed)
        for first in random.integers(0, 3900, 200):
            rows = read_rows(f"{path}:2", int(first), int(first) + 100)
            if not np.array_equal(rows[:, 7], np.arange(first, first + 100)):
                return False
        return True

    assert check(0)
    children = []
    for seed in range(3):
        child = os.fork()
        if child == 0:
            os._exit(0 if check(seed) else 1)
        children.append(child)
    wrong = []
    threads = [threading.Thread(target=lambda s=s: check(s) or wrong.append(s)) for s in range(4, 7)]
    [thread.start() for thread in threads]
    assert check(3)
    [thread.join() for thread in threads]
    assert not wrong
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]


def test_the_limit(monkeypatch):
    monkeypatch.setenv("ASIT_ARK_OPEN_FILES", "12")
    assert default_limit() == OpenFiles().limit == 12
    monkeypatch.setenv("ASIT_ARK_OPEN_FILES", "many")
    with pytest.raises(AsitError, match=r"ASIT_ARK_OPEN_FILES: expected a number of files.*'many'"):
        default_limit()
    monkeypatch.delenv("ASIT_ARK_OPEN_FILES")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    assert default_limit() == 16
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, 64))
    assert default_limit() == 256
