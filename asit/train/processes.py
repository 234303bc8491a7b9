"""Several training processes on one machine: the command starts itself once per rank, under torchrun."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

import torch

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def wanted(processes: int) -> int:
    """Ranks to start for so many processes on this machine; 1 when this process is a rank already."""
    return 1 if "RANK" in os.environ else processes


def launch(count: int, module: str, arguments: Sequence[str]) -> int:
    """Run ``python -m module arguments`` as ``count`` ranks under :mod:`asit.launch.agent`, in place of this process.

    The agent passes stop signals on to the ranks, ends the others when one fails, and ends with the code of the run: 0,
    85 when the ranks stopped on request, else that of the first rank that failed. When it dies, the ranks die too.
    """
    words = ["--standalone", "--nproc-per-node", str(count), "--max-restarts", "0", "-m", module, *arguments]
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # torchrun would do so with a warning; see use_threads
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "asit.launch.agent", *words])


def end_with_parent() -> None:
    """In a rank: die when the process that started it dies, by whatever cause."""
    if "RANK" not in os.environ or not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was asked
        os._exit(1)


def use_threads(threads: int, ranks_here: int) -> int:
    """Set torch's CPU threads (0: this process's share of the cores), whatever OMP_NUM_THREADS says."""
    count = threads or max(1, len(os.sched_getaffinity(0)) // max(1, ranks_here))
    torch.set_num_threads(count)
    return count
