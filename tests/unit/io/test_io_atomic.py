from __future__ import annotations

import os
import subprocess
import sys

import pytest

from asit.errors import AsitError
from asit.io.atomic import atomic_open, sweep, temporary_name, write_text


def test_appears_only_at_the_end(tmp_path):
    path = tmp_path / "new folder" / "a.txt"
    with atomic_open(path) as stream:
        stream.write("half")
        stream.flush()
        assert not path.exists()
        assert os.listdir(path.parent) == [f"a.txt.tmp-{os.getpid()}"]
    assert path.read_text() == "half"
    assert os.listdir(path.parent) == ["a.txt"]


def test_exception_keeps_the_old_content_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old\n")
    with pytest.raises(TypeError), atomic_open(path) as stream:
        stream.writelines(["new", 5])
    assert path.read_text() == "old\n"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_text_is_utf8_with_newlines_whatever_the_locale(tmp_path):
    write_text(tmp_path / "a", "é\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\n"


def test_killed_writer_leaves_no_final_name_and_sweep_removes_the_rest(tmp_path):
    path = tmp_path / "a.txt"
    code = (
        "import os, sys; from asit.io.atomic import atomic_open\n"
        "with atomic_open(sys.argv[1]) as s:\n    s.write('x'); s.flush(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    assert not path.exists()
    assert len(sweep(path)) == 1
    assert os.listdir(tmp_path) == []


def test_folder_in_the_way_and_missing_permission(tmp_path):
    (tmp_path / "d").mkdir()
    with pytest.raises(AsitError, match="found a folder"):
        write_text(tmp_path / "d", "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(AsitError, match="cannot write"):
        write_text(tmp_path / "file" / "below", "x")


def test_disk_full_is_an_error_without_a_file(tmp_path):
    code = (
        "import resource, signal, sys; from asit.io.atomic import write_text\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from asit.errors import AsitError\n"
        "try:\n    write_text(sys.argv[1], 'x' * 100000)\n"
        "except AsitError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "big")], capture_output=True, text=True, check=True
    )
    assert "cannot write" in done.stdout
    assert os.listdir(tmp_path) == []


def test_errors_of_the_block_are_not_renamed(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_open(tmp_path / "a"):
        (tmp_path / "other").read_text()
    assert os.path.basename(temporary_name("x/y")).startswith("y.tmp-")


def test_sweep_takes_only_what_writers_left(tmp_path):
    """Of one file, of all files of a folder, and never a name that somebody chose."""
    kept = ["a", "a.tmp-", "a.tmp-old", "b.tmp-1x", ".tmp-1"]
    for name in (*kept, "a.tmp-1", "ba.tmp-1", "b.tmp-22"):
        write_text(tmp_path / name, "x")
    assert [os.path.basename(p) for p in sweep(tmp_path / "a")] == ["a.tmp-1"]
    assert [os.path.basename(p) for p in sweep(tmp_path)] == ["b.tmp-22", "ba.tmp-1"]
    assert sorted(os.listdir(tmp_path)) == sorted(kept)
    assert sweep(tmp_path / "none/here") == []
