"""Run jobs on a Slurm cluster: asit-run-slurm [options] [JOB=1:nj] log/x.JOB.log command args..."""

from __future__ import annotations

import os
import sys

from asit.errors import command

USAGE = """usage: asit-run-slurm [options] [JOB=1:nj] LOG-FILE COMMAND [ARGUMENT...]

Run a command, or one for each JOB, on a Slurm cluster and wait for it; its output goes to the log file. Takes the
command line of Kaldi's slurm.pl and reads its conf/slurm.conf; docs/cluster.md explains both and the site's settings.

  --mem 4G            memory for each core
  --time T            time limit, such as 4:00:00
  --num-threads N     cores of each job
  --gpu N             GPUs of each job, or of each node
  --max-jobs-run K    jobs at a time
  --pick WHICH        all; failed: jobs whose log does not end with success; incomplete: jobs that did not end [all]
  --retries N         submit the failed jobs again, up to N times; with twice the memory after a lack of it [0]
  --num-nodes N       one training on N nodes: torchrun on each, --gpu processes a node
  --signal-before S   tell the command to save (SIGUSR2) S seconds before the time limit; ends it with code 85, it
                      is queued again [120 with --num-nodes, else never]
  --config FILE       how to submit [conf/slurm.conf]
  --dry-run           write the job's script and print it with the line that submits it
  -x VALUE            options with one dash are sbatch's own

Exit code: 0 all succeeded, 1 a job failed, 86 --dry-run: nothing ran, 128 + n ended by signal n.
Ctrl-C and SIGTERM cancel the jobs."""


@command
def main() -> None:
    """Parse Kaldi's command line and run it on Slurm."""
    from asit.launch.cluster import main as run
    from asit.launch.slurm import Slurm

    code = run(Slurm(), sys.argv[1:], os.path.basename(sys.argv[0]), USAGE)
    if code:
        raise SystemExit(code)


if __name__ == "__main__":
    sys.exit(main())
