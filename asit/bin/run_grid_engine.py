"""Run jobs on Grid Engine: asit-run-grid-engine [options] [JOB=1:nj] log/x.JOB.log command args..."""

from __future__ import annotations

import os
import sys

from asit.errors import command
from asit.launch.usage import CLUSTER

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
    from asit.launch.cluster import main as run
    from asit.launch.grid_engine import GridEngine

    code = run(GridEngine(), sys.argv[1:], os.path.basename(sys.argv[0]), USAGE)
    if code:
        raise SystemExit(code)


if __name__ == "__main__":
    sys.exit(main())
