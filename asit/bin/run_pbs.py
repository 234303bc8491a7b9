"""Run jobs on PBS: asit-run-pbs [options] [JOB=1:nj] log/x.JOB.log command args..."""

from __future__ import annotations

import os
import sys

from asit.errors import command
from asit.launch.usage import CLUSTER

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
    from asit.launch.cluster import main as run
    from asit.launch.pbs import Pbs

    code = run(Pbs(), sys.argv[1:], os.path.basename(sys.argv[0]), USAGE)
    if code:
        raise SystemExit(code)


if __name__ == "__main__":
    sys.exit(main())
