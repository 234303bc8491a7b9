from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest
import torch

from asit.errors import AsitError
from asit.train.checkpoint import CheckpointDir, DirLock, load_tensors


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("bomb-went-off",)


def saved(tmp_path, *steps, keep=2):
    checkpoints = CheckpointDir(tmp_path / "check points", keep)
    for step in steps:
        checkpoints.save(step, {"step": step, "x": torch.full((1000,), float(step))})
    return checkpoints


def test_the_newest_are_kept(tmp_path):
    checkpoints = saved(tmp_path, 1, 2, 3)
    assert checkpoints.steps() == [2, 3]
    step, state = checkpoints.load_newest()
    assert step == 3
    assert state["x"][0] == 3
    assert len(list(checkpoints.path.iterdir())) == 4


def test_nothing_there_is_not_an_error(tmp_path):
    assert CheckpointDir(tmp_path).load_newest() is None


MARKERS = {
    "half marker": '{"by',
    "list": "[]",
    "null": "null",
    "types": '{"bytes": "x", "sha256": 1}',
    "deep": "[" * 10**5,
}


@pytest.mark.parametrize("damage", ["truncate", "flip", "marker", *MARKERS])
def test_a_damaged_one_is_passed_over(tmp_path, damage, caplog):
    checkpoints = saved(tmp_path, 1, 2)
    path = checkpoints.file(2)
    if damage == "truncate":
        os.truncate(path, path.stat().st_size - 1)
    elif damage == "flip":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "marker":
        path.with_suffix(".json").unlink()
    else:
        path.with_suffix(".json").write_text(MARKERS[damage])
    assert checkpoints.load_newest()[0] == 1
    assert str(path.with_suffix("")) in caplog.text


def test_a_damaged_one_does_not_count_as_kept(tmp_path):
    checkpoints = saved(tmp_path, 1, 2)
    checkpoints.file(2).with_suffix(".json").unlink()
    checkpoints.save(3, {"step": 3})
    os.truncate(checkpoints.file(3), 10)
    assert checkpoints.load_newest()[0] == 1


def test_all_damaged_is_an_error(tmp_path):
    checkpoints = saved(tmp_path, 1)
    os.truncate(checkpoints.file(1), 0)
    with pytest.raises(AsitError, match="none of the 1 completed checkpoints is usable"):
        checkpoints.load_newest()


def test_killed_before_the_first_marker_is_a_run_that_has_not_begun(tmp_path, caplog):
    checkpoints = saved(tmp_path, 1)
    checkpoints.file(1).with_suffix(".json").unlink()
    assert checkpoints.load_newest() is None
    assert "never completed" in caplog.text
    checkpoints.save(1, {"step": 1})  # training has come there again
    assert checkpoints.load_newest()[0] == 1
    os.truncate(checkpoints.file(1), 0)  # that one was complete: it is not given up without a word
    checkpoints.save(2, {"step": 2})
    checkpoints.file(2).with_suffix(".json").unlink()
    with pytest.raises(AsitError, match="none of the 1 completed"):
        checkpoints.load_newest()


def test_leftovers_are_swept_and_others_stay(tmp_path):
    checkpoints = saved(tmp_path, 1)
    (checkpoints.path / "step-00000002.pt.tmp-77").write_bytes(b"")
    (checkpoints.path / "step-00000009.json").write_text("{}")
    (checkpoints.path / "notes.txt").write_text("mine")
    checkpoints.sweep()
    assert sorted(p.name for p in checkpoints.path.iterdir()) == ["notes.txt", "step-00000001.json", "step-00000001.pt"]


def test_a_pickle_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "x": Bomb()}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Bomb(), protocol=2))
    for name in ("a.pt", "b.pt"):
        with pytest.raises(AsitError, match=r"refused|cannot be read"):
            load_tensors(tmp_path / name)
    assert not (tmp_path / "bomb-went-off").exists()


def test_another_format_is_refused(tmp_path):
    torch.save({"x": 1}, tmp_path / "a.pt")
    with pytest.raises(AsitError, match="not a checkpoint of this program"):
        load_tensors(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x80\2", b"\0" * 100])
def test_what_is_no_checkpoint_is_told_in_one_line(tmp_path, content):
    """Of an empty file torch says nothing at all."""
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(AsitError, match=r"refused|cannot be read as a checkpoint: \S") as caught:
        load_tensors(tmp_path / "a.pt")
    assert "\n" not in str(caught.value)


def test_a_full_disk_keeps_what_was_there(tmp_path):
    checkpoints = saved(tmp_path, 1)
    code = (
        "import resource, sys, torch\n"
        "from asit.train.checkpoint import CheckpointDir\n"
        "from asit.errors import AsitError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try: CheckpointDir(sys.argv[1]).save(2, {'x': torch.zeros(10**6)})\n"
        "except AsitError as error: sys.exit(str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(checkpoints.path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "step-00000002.pt" in done.stderr
    assert checkpoints.steps() == [1]
    assert not list(checkpoints.path.glob("*.tmp-*"))
    assert checkpoints.load_newest()[0] == 1


def test_the_lock_names_its_holder(tmp_path):
    code = (
        "import sys; from asit.train.checkpoint import DirLock\nwith DirLock(sys.argv[1]): print(flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    holder.stdout.readline()
    with pytest.raises(AsitError, match=f"in use by process {holder.pid} on .* since"), DirLock(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with DirLock(tmp_path):
        assert str(os.getpid()) in (tmp_path / ".lock").read_text()
