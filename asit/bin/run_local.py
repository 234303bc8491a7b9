"""Run jobs on this machine: asit-run-local [options] [JOB=1:nj] log/x.JOB.log command args..."""

from __future__ import annotations

import sys

from asit.errors import command
from asit.launch.usage import main as run_command

USAGE = """usage: asit-run-local [options] [JOB=1:nj] LOG-FILE COMMAND [ARGUMENT...]

Run a command, or one for each JOB, on this machine; its output goes to the log file. JOB is any word; it is replaced by
the job's number in the log's name and in the command. Takes the command line of Kaldi's run.pl.

  --max-jobs-run K    jobs at a time [the number of cores, or of GPUs]
  --num-threads N     threads of each job (OMP_NUM_THREADS) [1]
  --gpu N             GPUs of each job: it sees only these (CUDA_VISIBLE_DEVICES); 0 hides all
  --pick WHICH        all; failed: jobs whose log does not end with success; incomplete: jobs that did not end [all]
  --retries N         start a failed job again, up to N times [0]
  --dry-run           only print the commands
  --mem 4G --time T --config FILE and other options of cluster back ends are accepted and have no effect here.

Arguments reach the command as they are. Words that are shell operators on their own (| > && ; 2>&1 ...) are honoured.
Exit code: 0 all succeeded, 1 a job failed, 86 --dry-run: nothing ran, 128 + n ended by signal n.
Ctrl-C and SIGTERM end the jobs too."""


@command
def main() -> None:
    """Parse Kaldi's command line and run it."""
    from asit.launch.local import run

    run_command(run, USAGE)


if __name__ == "__main__":
    sys.exit(main())
