"""Several training processes on one machine: the command starts itself once per rank.

The ranks find each other through the environment that torchrun would set (see :mod:`asit.train.distributed`), so the
same command also works under torchrun or srun, for several machines. torchrun itself is not used here because it
turns every exit code into 1, and 85 ("stopped, saved, run me again") matters to the scheduler.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType

import torch

from asit.train.signals import PREEMPTED, STOP_SIGNALS

LIFELINE = "ASIT_LIFELINE"  # a pipe whose other end only the launcher holds
GRACE = 5.0  # seconds between asking and killing


def wanted(ngpu: int | None, num_procs: int) -> int:
    """Ranks that the options ask for on this machine; 1 when this process is a rank already."""
    if "RANK" in os.environ:
        return 1
    return ngpu if ngpu else max(1, num_procs if ngpu == 0 or not torch.cuda.is_available() else 1)


def launch(count: int, module: str, arguments: Sequence[str]) -> int:
    """Run ``python -m module arguments`` as ``count`` ranks and wait for them; returns the exit code of the run.

    Stop signals are passed on to all ranks. When one rank fails the others are ended. When this process dies, by
    whatever cause, its ranks die too. The code is 0 when all are, 85 when the ranks stopped on request, else
    that of the first rank that failed.
    """
    reading, writing = os.pipe()
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), LIFELINE: str(reading)}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**environment, "RANK": str(i), "LOCAL_RANK": str(i), "WORLD_SIZE": str(count)},
            pass_fds=[reading],
        )
        for i in range(count)
    ]
    os.close(reading)

    def pass_on(number: int, _: FrameType | None) -> None:
        for rank in ranks:
            with contextlib.suppress(ProcessLookupError):
                rank.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in STOP_SIGNALS}
    try:
        failed = 0
        while failed == 0 and any(r.poll() is None for r in ranks):
            failed = next((r.returncode for r in ranks if r.returncode not in (None, 0, PREEMPTED)), 0)
            time.sleep(0.1)
        codes = [r.poll() for r in ranks]
        failed = failed or next((c for c in codes if c not in (None, 0, PREEMPTED)), 0)
        if failed:
            return failed if failed > 0 else 128 - failed
        return PREEMPTED if PREEMPTED in codes else 0
    finally:
        _end(ranks)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)


def hold_lifeline() -> None:
    """In a rank: end this process when its launcher is gone."""
    name = os.environ.pop(LIFELINE, "")
    if not name:
        return
    reading = int(name)

    def watch() -> None:
        os.read(reading, 1)  # returns only at end of file
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="lifeline").start()


def use_threads(threads: int, ranks_here: int) -> int:
    """Set torch's CPU threads (0: this process's share of the cores), whatever OMP_NUM_THREADS says."""
    count = threads or max(1, len(os.sched_getaffinity(0)) // max(1, ranks_here))
    torch.set_num_threads(count)
    return count


def _end(ranks: Sequence[subprocess.Popen]) -> None:
    for signal_to_send, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, GRACE)):
        for rank in ranks:
            if rank.poll() is None:
                rank.send_signal(signal_to_send)
        limit = time.monotonic() + patience
        while any(r.poll() is None for r in ranks) and time.monotonic() < limit:
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
