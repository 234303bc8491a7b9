"""torchrun on one node of a training, with the exit code of what it ran: ``python -m asit.launch.agent`` + its options.

torchrun itself ends with 1 whatever its processes ended with; 85 (stopped, saved, run me again) has to reach the
scheduler. Notices of preemption are for the processes that train, and the agent outlives them: on one machine it
passes them on, in a job of several nodes the scheduler signals every process itself. A notice that comes before those
can listen ends them, and counts as a stop on request too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

from asit.launch.failures import PREEMPTED

STOPS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_NOTICES = (-signal.SIGUSR1, -signal.SIGUSR2)


def exit_code(codes: Iterable[int], stopped: bool = False) -> int:
    """The code of a run from those of its processes that failed.

    85 when any has it: a process stops on request only together with all others, after saving. Else the first code; a
    signal counts as 128 + its number, but SIGTERM only if nothing else failed: the agent ends the others with it. When
    the run had been asked to stop (``stopped``), a process that SIGTERM ended was not listening yet: 85 too.

    >>> exit_code([-15, 3])
    3
    """
    notices = (*_NOTICES, -signal.SIGTERM) if stopped else _NOTICES
    found = [PREEMPTED if code in notices else code for code in codes]
    if PREEMPTED in found:
        return PREEMPTED
    own = [code for code in found if code != -15] or found or [1]
    return own[0] if own[0] > 0 else 128 - own[0]


def main() -> int:
    """Run torchrun with this process's arguments; the exit code."""
    words = sys.argv[1:]
    alone = "--standalone" in words
    stopped: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        stopped.append(number)
        for child in _children() if alone else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)

    for number in STOPS:  # a handler, which children do not inherit as they would SIG_IGN
        signal.signal(number, pass_on)
    others = "SIGINT,SIGHUP,SIGQUIT"
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        run.main(["--signals-to-handle", others, *words])
    except ChildFailedError as error:
        failures = sorted(error.failures.items(), key=lambda item: item[1].timestamp)
        for rank, failure in failures:
            if failure.exitcode not in (PREEMPTED, -signal.SIGTERM):
                print(f"agent: process {rank} ended with code {failure.exitcode}", file=sys.stderr)
        return exit_code((failure.exitcode for _, failure in failures), bool(stopped))
    except SignalException as error:
        return 128 + int(error.sigval)
    print(f"# agent {os.environ.get('ASIT_RUN', '')}: all is well", flush=True)  # the job's script counts these
    return 0


def _children() -> list[int]:
    """Process ids of this process's children."""
    found: list[int] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found


if __name__ == "__main__":
    sys.exit(main())
