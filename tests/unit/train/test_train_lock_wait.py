"""Waiting for the lock of a run that an orphan on a lost node may still hold."""

from __future__ import annotations

import subprocess
import sys

import pytest

from asit.errors import AsitError
from asit.train.checkpoint import LOCK_WAIT, DirLock

HOLD = """
import fcntl, sys
stream = open(sys.argv[1], "a+")
fcntl.lockf(stream, fcntl.LOCK_EX)
print("process 7 on node3", file=stream, flush=True)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    words = [sys.executable, "-c", HOLD, str(tmp_path / ".lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_it_waits_says_for_whom_and_goes_on(holder, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(LOCK_WAIT, "30")
    monkeypatch.setattr("time.sleep", lambda _: holder.kill())  # the orphan ends while we wait
    with DirLock(tmp_path):
        pass
    assert "in use by process 7 on node3; waiting" in caplog.text


@pytest.mark.parametrize("wait", ["", "0", "0.1"])
def test_it_does_not_wait_for_ever(holder, tmp_path, monkeypatch, wait):
    monkeypatch.setenv(LOCK_WAIT, wait)
    with pytest.raises(AsitError, match="in use by process 7 on node3"), DirLock(tmp_path):
        pass


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.lockf", refuse)
    with DirLock(tmp_path):
        pass
    assert "has no locks (Function not implemented)" in caplog.text
