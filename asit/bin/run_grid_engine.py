"""Run jobs on Grid Engine: asit-run-grid-engine [options] [JOB=1:nj] log/x.JOB.log command args..."""

from __future__ import annotations

import os
import sys

from asit.errors import command

USAGE = """usage: asit-run-grid-engine [options] [JOB=1:nj] LOG-FILE COMMAND [ARGUMENT...]

Run a command, or one for each JOB, on Grid Engine and wait for it; its output goes to the log file. Takes the command
line of Kaldi's queue.pl and reads its conf/queue.conf; docs/cluster.md explains both and the site's settings.

  --mem 4G            memory of each core
  --time T            time limit, such as 4:00:00
  --num-threads N     cores of each job (parallel environment smp)
  --gpu N             GPUs of each job
  --max-jobs-run K    jobs at a time
  --pick WHICH        all; failed: jobs whose log does not end with success; incomplete: jobs that did not end [all]
  --retries N         submit the failed jobs again, up to N times; with twice the memory after a lack of it [0]
  --signal-before S   tell the command to save (SIGUSR1) S seconds before the time limit; ends it with code 85, it
                      is queued again
  --config FILE       how to submit [conf/queue.conf]
  --dry-run           write the job's script and print it with the line that submits it
  -x VALUE            options with one dash are qsub's own

Exit code: 0 all succeeded, 1 a job failed, 86 --dry-run: nothing ran, 128 + n ended by signal n.
Ctrl-C and SIGTERM delete the jobs."""


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
