"""Slurm: ``sbatch`` with job arrays, states from ``squeue`` and, where there is an accounting database, ``sacct``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from asit.launch.batch_script import Dialect
from asit.launch.contract import Request
from asit.launch.failures import compact
from asit.launch.scheduler import SINGLE, Submission, TaskState, ask, require
from asit.launch.site import Site

SIGNAL_BEFORE = 120
"""Seconds between the notice and the time limit of a training over nodes, unless ``--signal-before`` is given."""

_WHY = {
    "OUT_OF_MEMORY": "out of memory: ask for more with --mem",
    "TIMEOUT": "the time limit was reached: ask for more with --time",
    "DEADLINE": "the deadline was reached before the job could end",
    "NODE_FAIL": "its machine failed: run it again",
    "BOOT_FAIL": "its machine did not start: run it again",
    "CANCELLED": "it was cancelled",
    "PREEMPTED": "it had to make room for another job: run it again",
    "REVOKED": "it was revoked",
}
_ENDED = {*_WHY, "COMPLETED", "FAILED"}

# Run by srun on each node.
_START_AGENT = """python=$1 procs=$2
shift 2
export PET_SIGNALS_TO_HANDLE=SIGINT # torchrun would answer SIGTERM by ending what has just begun to save
exec "$python" -m asit.launch.agent --nnodes "$SLURM_NNODES" --node-rank "$SLURM_NODEID" --nproc-per-node "$procs" \\
    --master-addr "$ASIT_FIRST_HOST" --master-port "$ASIT_FIRST_PORT" --no-python "$@"
"""

# srun may end with 0 when Slurm has killed its step, or has given up the node that the script runs on. A success is
# what every agent has said itself. Without that the scheduler's word counts: perhaps the job is queued again already.
_NO_FALSE_SUCCESS = """if [ "$asit_code" = 0 ] &&
    [ "$(grep -oF "agent $ASIT_RUN: all is well" "$asit_log" | wc -l)" -lt "$SLURM_NNODES" ]; then
    echo "# srun ended before what it had started"
    asit_code=143 asit_unsure=1
fi"""

# Slurm has ended the job's processes, perhaps because a node was lost and the job is queued again: its word counts.
_UNSURE_IF_TERMINATED = """if [ -n "$asit_terminated" ] && [ "$asit_code" != 0 ] && [ "$asit_code" != 85 ]; then
    echo "# ended by Slurm"
    asit_unsure=1
fi"""

# When a node is lost, the processes on the others fail long before Slurm notices. A step on all nodes tells.
_AFTER_A_FAILURE = """if [ -z "$asit_terminated$asit_unsure" ] && [ "$asit_code" != 0 ] && [ "$asit_code" != 85 ] &&
    [ "${SLURM_RESTART_COUNT:-0}" -lt 100 ] && ! timeout 60 srun --overlap --ntasks-per-node=1 true; then
    echo "# a node does not answer: queued again"
    sleep 10
    asit_code=85
fi"""


class Slurm:
    """See :class:`asit.launch.scheduler.Scheduler`."""

    title = "Slurm"
    config = "conf/slurm.conf"
    default = """
command sbatch --export=ALL
option time=* --time $0
option mem=* --mem-per-cpu $0
option mem=0
option num_threads=* --cpus-per-task $0
option gpu=* --gres=gpu:$0
option gpu=0
"""
    handled = frozenset({"num-nodes", "signal-before"})
    dialect = Dialect(
        index="$SLURM_ARRAY_TASK_ID",
        job="$SLURM_JOB_ID",
        array_job="${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID",
        restarted='[ "${SLURM_RESTART_COUNT:-0}" != 0 ]',
        requeue='scontrol requeue "$asit_job" && exit 0',
    )
    any_indices = True

    def submission(self, request: Request, site: Site, conf_words: Sequence[str]) -> Submission:
        """``--num-nodes`` runs one agent on each node by srun; the first host is where the processes meet."""
        if not request.dry_run:  # which shows it anywhere
            require("sbatch", self.title)
        words = [*conf_words, "--parsable", "--open-mode=append"]
        queue = site.queue(request.gpus)
        words += [f"--partition={queue}"] if queue else []
        words += [f"--account={site.account}"] if site.account else []
        words += [f"--constraint={site.constraint}"] if site.constraint else []
        if request.num_nodes or request.signal_before:
            words.append("--requeue")
        if request.num_nodes is None:
            words += [f"--signal=B:USR2@{request.signal_before}"] if request.signal_before else []
            return Submission((*words, *site.words(), *request.native))
        words += [f"--nodes={request.num_nodes}", "--ntasks-per-node=1"]
        words.append(f"--signal=USR2@{request.signal_before or SIGNAL_BEFORE}")  # to the processes of srun
        # After a restart an orphan of the earlier run may still hold its port.
        port = "20000 + (SLURM_JOB_ID * 8 + ${SLURM_RESTART_COUNT:-0}) % 20000"
        procs = str(request.gpus or 1)
        return Submission(
            (*words, *site.words(), *request.native),
            # --wait: when one node's processes have ended, the others get a minute. --export: sbatch's may be PATH.
            wrap=("srun", "--export=ALL", "--wait=60", "bash", "-c", _START_AGENT, "agent", sys.executable, procs),
            before=(
                f'export ASIT_FIRST_HOST="$(hostname)" ASIT_FIRST_PORT=$(({port}))',
                'export ASIT_RUN="$asit_job.${SLURM_RESTART_COUNT:-0}"',
            ),
            after=(
                *_NO_FALSE_SUCCESS.splitlines(),
                *_UNSURE_IF_TERMINATED.splitlines(),
                *(_AFTER_A_FAILURE.splitlines() if request.num_nodes > 1 else ()),
            ),
        )

    def spell(self, name: str, value: str) -> str:
        """Values stay as they are."""
        return value

    def array(self, indices: Sequence[int], most: int | None) -> list[str]:
        """``--array=1-3,7%2``."""
        return [f"--array={compact(indices, '-')}" + (f"%{most}" if most else "")]

    def output(self, path: str, is_array: bool) -> list[str]:
        """``%`` is special in ``--output``."""
        return ["--output=" + path.replace("%", "%%") + (".%a" if is_array else "")]

    def job_id(self, printed: str) -> str:
        """From ``12``, ``12;cluster`` (``--parsable``) or ``Submitted batch job 12``."""
        found = re.findall(r"^(?:Submitted batch job )?(\d+)(?:;\S+)?$", printed, re.MULTILINE)
        return found[-1] if found else ""

    def states(self, job_id: str) -> dict[int, TaskState] | None:
        """From ``squeue``, which forgets a job some minutes (MinJobAge) after its end."""
        code, printed, errors = ask("squeue", "--noheader", "--array", "--states=all", "-o", "%i|%T|%r", "-j", job_id)
        if code:
            return {} if "Invalid job id" in errors else None
        found: dict[int, TaskState] = {}
        for line in printed.splitlines():
            name, _, rest = line.strip().partition("|")
            task = name.partition("_")[2]
            if name.partition("_")[0] == job_id and (task.isdigit() or not task):
                found[int(task or SINGLE)] = _state(*rest.partition("|")[::2])
        return found

    def last_words(self, job_id: str, task: int) -> str:
        """From the accounting database, if the site has one."""
        which = job_id if task == SINGLE else f"{job_id}_{task}"
        code, printed, _ = ask("sacct", "-n", "-P", "-X", "-o", "State,ExitCode", "-j", which)
        if code or not printed.strip():
            return ""
        name, _, exit_code = printed.splitlines()[-1].partition("|")
        state = _state(name.split()[0] if name.split() else name, "")
        return f"state {state.name}, exit code {exit_code}" + (f": {state.why}" if state.why else "")

    def cancel(self, job_id: str) -> list[str]:
        """``scancel``."""
        return ["scancel", job_id]


def _state(name: str, reason: str) -> TaskState:
    if name == "REQUEUE_HOLD" or (name == "PENDING" and "requeued held" in reason):
        return TaskState(name, True, f"Slurm holds it after a failed start ({reason}): see `scontrol show job`")
    return TaskState(name, name in _ENDED, _WHY.get(name, ""))
