"""torchrun on one node of a training, with the exit code of what it ran: ``python -m asit.launch.agent`` + its options.

torchrun itself ends with 1 whatever its processes ended with; 85 (stopped, saved, run me again) has to reach the
scheduler. Notices of preemption are for the processes that train: the agent outlives them. A notice that comes before
those can listen ends them, and counts as a stop on request too.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable

from asit.launch.failures import PREEMPTED

_NOTICES = (-signal.SIGUSR1, -signal.SIGUSR2)


def exit_code(codes: Iterable[int]) -> int:
    """The code of a run from those of its processes that failed.

    85 when any has it: a process stops on request only together with all others, after saving. Else the first code; a
    signal counts as 128 + its number, but SIGTERM only if nothing else failed: the agent ends the others with it.

    >>> exit_code([-15, 3])
    3
    """
    found = [PREEMPTED if code in _NOTICES else code for code in codes]
    if PREEMPTED in found:
        return PREEMPTED
    own = [code for code in found if code != -15] or found or [1]
    return own[0] if own[0] > 0 else 128 - own[0]


def main() -> int:
    """Run torchrun with this process's arguments; the exit code."""
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # a handler, which children do not inherit as they would SIG_IGN
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        run.main(sys.argv[1:])
    except ChildFailedError as error:
        failures = sorted(error.failures.items(), key=lambda item: item[1].timestamp)
        for rank, failure in failures:
            if failure.exitcode != PREEMPTED:
                print(f"agent: process {rank} ended with code {failure.exitcode}", file=sys.stderr)
        return exit_code(failure.exitcode for _, failure in failures)
    print(f"# agent {os.environ.get('ASIT_RUN', '')}: all is well", flush=True)  # the job's script counts these
    return 0


if __name__ == "__main__":
    sys.exit(main())
