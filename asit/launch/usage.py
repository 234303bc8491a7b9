"""What the commands of the job back ends share: their body, and the help of those for clusters."""

from __future__ import annotations

import contextlib
import os
import platform
import select
import signal
import sys
import threading
from collections.abc import Callable

from asit.errors import AsitError
from asit.launch import contract

CLUSTER = """usage: asit-run-{name} [options] [JOB=1:nj] LOG-FILE COMMAND [ARGUMENT...]

Run a command, or one for each JOB, on {where} and wait for it; its output goes to the log file. Takes the
command line of Kaldi's {kaldi}.pl and reads its {config}; docs/cluster.md explains both and the site's settings.

  --mem 4G            memory {mem}
  --time T            time limit, such as 4:00:00
  --num-threads N     cores of each job{threads}
  --gpu N             GPUs of each job{gpu}
  --max-jobs-run K    jobs at a time
  --pick WHICH        all; failed: jobs whose log does not end with success; incomplete: jobs that did not end [all]
  --retries N         submit the failed jobs again, up to N times; with twice the memory after a lack of it [0]
{more}  --config FILE       how to submit [{config}]
  --dry-run           write the job's script and print it with the line that submits it
  -x VALUE            options with one dash are {submit}'s own

Exit code: 0 all succeeded, 1 a job failed, 86 --dry-run: nothing ran, 128 + n ended by signal n.
Ctrl-C and SIGTERM {stop} the jobs."""


def main(run: Callable[[contract.Request, str], int], usage: str) -> None:
    """The body of a back end's command: parse its command line and ``run`` (request, program's name) -> exit code.

    Raises:
        AsitError: what parsing or running raises, with a pointer to ``--help``.
        SystemExit: the exit code, where it is not 0.
    """
    arguments, program = sys.argv[1:], os.path.basename(sys.argv[0])
    end_with(os.environ.get("ASIT_RUN_SH", ""), program)
    if not arguments or arguments[0] in ("--help", "-h"):
        print(usage, file=sys.stdout if arguments else sys.stderr)
        raise SystemExit(0 if arguments else 1)
    try:
        code = run(contract.parse(arguments), program)
    except AsitError as error:
        raise AsitError(f"{error}; see {program} --help") from None
    if code:
        raise SystemExit(code)


def end_with(run_sh: str, program: str) -> None:
    """Stop this process, as SIGTERM does, when a recipe's run.sh is gone: jobs would go on that nobody waits for. bash
    cannot pass on the signal that ended it, as it handles none while it waits for a command.

    Args:
        run_sh: its machine and process, "name 123"; empty: there is none.
    """
    machine, _, pid = run_sh.partition(" ")
    if machine != platform.node() or not hasattr(os, "pidfd_open"):  # Linux has it
        return

    def wait() -> None:
        with contextlib.suppress(ProcessLookupError):
            select.select([os.pidfd_open(int(pid))], [], [])
        print(f"{program}: run.sh (process {pid}) is gone", file=sys.stderr)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
