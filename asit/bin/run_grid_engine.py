"""Run jobs on Grid Engine: asit-run-grid-engine [options] [JOB=1:nj] log/x.JOB.log command args..."""

from __future__ import annotations

import sys

from asit.errors import command
from asit.launch.usage import CLUSTER
from asit.launch.usage import main as run_command

USAGE = CLUSTER.format(
    name="grid-engine",
    where="Grid Engine",
    kaldi="queue",
    config="conf/queue.conf",
    mem="of each core",
    threads=" (parallel environment smp)",
    gpu="",
    submit="qsub",
    stop="delete",
    more="""\
  --signal-before S   tell the command to save (SIGUSR1) S seconds before the time limit; ends it with code 85, it
                      is queued again
""",
)


@command
def main() -> None:
    """Parse Kaldi's command line and run it on Grid Engine."""
    from asit.launch.cluster import run
    from asit.launch.grid_engine import GridEngine

    run_command(lambda request, program: run(request, GridEngine(), program), USAGE)


if __name__ == "__main__":
    sys.exit(main())
