from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys

import pytest
import torch

from asit.data.loader import Batches
from asit.data.sampler import BatchPlan
from asit.errors import AsitError


class Numbers:
    """Ends its process by itself, as when memory ran out, at the clip with number `deadly`."""

    def __init__(self, deadly: int) -> None:
        self.deadly = deadly

    def __len__(self) -> int:
        return 8

    def __getitem__(self, key):
        if key[1] == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"x": torch.tensor(float(key[0]))}


def collate(items):
    return {"x": torch.stack([item["x"] for item in items])}


@pytest.mark.parametrize("deadly", [0, 9])
def test_the_death_of_a_worker_is_told_in_one_line(deadly):
    batches = Batches(Numbers(deadly), BatchPlan.fitting(8, batch_size=4, seed=1), collate, num_workers=2)
    with pytest.raises(AsitError, match=r"data died.*--num-workers.*run again") as caught:
        list(batches.run(0, 6))
    assert "\n" not in str(caught.value)
    assert not multiprocessing.active_children()


class Lost:
    """Comes out of the queue as a batch does whose sender is gone before its shared memory was handed over."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __reduce__(self):
        return lose, (self.error,)


def lose(error):
    raise type(error)(*error.args)  # a new one: one that its own traceback's frames hold would keep the workers


@pytest.mark.parametrize("error", [ConnectionResetError(104, "Connection reset by peer"), EOFError()])
def test_a_death_while_a_batch_is_handed_over_is_told_too(error):
    plan = BatchPlan.fitting(8, batch_size=4, seed=1)
    batches = Batches(Numbers(10**9), plan, lambda items: {"x": Lost(error)}, num_workers=2)
    with pytest.raises(AsitError, match=r"data died.*--num-workers.*run again"):
        list(batches.run(0, 6))
    assert not multiprocessing.active_children()


def test_a_connection_that_the_data_set_lost_is_no_death():
    plan = BatchPlan.fitting(8, batch_size=4, seed=1)
    lost = ConnectionResetError("the disk's server")
    batches = Batches(Numbers(10**9), plan, lambda items: lose(lost), num_workers=2)
    with pytest.raises(ConnectionResetError, match="the disk's server"):
        list(batches.run(0, 6))
    assert not multiprocessing.active_children()  # although the error's traceback keeps the iterator


def test_it_is_told_where_a_batch_is_awaited_and_nowhere_else():
    batches = Batches(Numbers(10**9), BatchPlan.fitting(8, batch_size=4, seed=1), collate, num_workers=2)
    stream = batches.run(0, 6)
    next(stream)
    victim = multiprocessing.active_children()[0]
    victim.kill()
    victim.join()
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
    stream.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("end", ["sys.exit(3)", "raise SystemExit(3)", "sys.exit(3 if stream.close() is None else 4)"])
def test_a_process_ends_although_workers_ignore_sigterm(tmp_path, end):
    (tmp_path / "run.py").write_text(
        "import sys, torch\n"
        "from asit.data.loader import Batches\n"
        "from asit.data.sampler import BatchPlan\n"
        "class Numbers:\n"
        "    def __len__(self): return 8\n"
        "    def __getitem__(self, key): return torch.tensor(float(key[0]))\n"
        "plan = BatchPlan.fitting(8, batch_size=4, seed=1)\n"
        "stream = Batches(Numbers(), plan, lambda items: {'x': torch.stack(items)}, num_workers=2).run(0, 6)\n"
        "next(stream)\n"
        "kept = stream.gi_frame.f_locals['iterator']\n"  # as a traceback keeps it
        f"{end}\n"
    )
    assert subprocess.run([sys.executable, tmp_path / "run.py"], timeout=60, check=False).returncode == 3
