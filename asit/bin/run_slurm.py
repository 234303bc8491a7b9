"""Run jobs on a Slurm cluster: asit-run-slurm [options] [JOB=1:nj] log/x.JOB.log command args..."""

from __future__ import annotations

import sys

from asit.errors import command
from asit.launch.usage import CLUSTER
from asit.launch.usage import main as run_command

USAGE = CLUSTER.format(
    name="slurm",
    where="a Slurm cluster",
    kaldi="slurm",
    config="conf/slurm.conf",
    mem="for each core",
    threads="",
    gpu=", or of each node",
    submit="sbatch",
    stop="cancel",
    more="""\
  --num-nodes N       one training on N nodes: torchrun on each, --gpu processes a node
  --signal-before S   tell the command to save (SIGUSR2) S seconds before the time limit; ends it with code 85, it
                      is queued again [120 with --num-nodes, else never]
""",
)


@command
def main() -> None:
    """Parse Kaldi's command line and run it on Slurm."""
    from asit.launch.cluster import run
    from asit.launch.slurm import Slurm

    run_command(lambda request, program: run(request, Slurm(), program), USAGE)


if __name__ == "__main__":
    sys.exit(main())
