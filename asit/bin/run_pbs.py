"""Run jobs on PBS: asit-run-pbs [options] [JOB=1:nj] log/x.JOB.log command args..."""

from __future__ import annotations

import sys

from asit.errors import command
from asit.launch.usage import CLUSTER
from asit.launch.usage import main as run_command

USAGE = CLUSTER.format(
    name="pbs",
    where="PBS",
    kaldi="pbs",
    config="conf/pbs.conf",
    mem="of each job",
    threads="",
    gpu="",
    submit="qsub",
    stop="delete",
    more="",
)


@command
def main() -> None:
    """Parse Kaldi's command line and run it on PBS."""
    from asit.launch.cluster import run
    from asit.launch.pbs import Pbs

    run_command(lambda request, program: run(request, Pbs(), program), USAGE)


if __name__ == "__main__":
    sys.exit(main())
