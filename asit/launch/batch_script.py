"""The script that a scheduler runs for each index of a request: plain bash, with nothing left to interpretation.

Wherever the request's identifier stands in the log's name or in a word, the script has ``"$asit_index"``; all else is
quoted. The script goes to the directory of the submission, sends all output to the log, sets up the site's modules and
the recipe's ``path.sh``, runs the command, and tells how it ended in two places: the log's last line, and a file of
the index's name in the folder of results, which the waiting back end sees at once. Kaldi's slurm.pl and queue.pl work
so too; unlike theirs, this script writes its result whatever ends it short of SIGKILL, passes notices of preemption
on to the command, and asks for another run when the command has saved its state (exit code 85).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from asit.launch.contract import OPERATORS, Request
from asit.launch.failures import PREEMPTED
from asit.launch.site import Site

LOCK_WAIT = 300
"""Seconds that a requeued training waits for the lock that an orphan of its earlier run may still hold."""


@dataclass(frozen=True)
class Dialect:
    """What differs between schedulers inside a job.

    ``index``: bash that gives the number of an array's task. ``job`` and ``array_job``: bash that gives the id of a job
    and of an array's task. ``restarted``: bash condition, true in a run that is not the job's first. ``requeue``: bash
    that puts ``$asit_job`` back in the queue and ends the script; empty where a job cannot do that. ``reserved``: exit
    codes with a meaning of their own.
    """

    index: str
    job: str
    array_job: str
    restarted: str
    requeue: str = ""
    reserved: tuple[int, ...] = ()


def script(
    request: Request,
    dialect: Dialect,
    site: Site,
    *,
    made_by: str,
    folder: str,
    results: str,
    indices: Sequence[int],
    table: bool = False,
    wrap: Sequence[str] = (),
    before: Sequence[str] = (),
    after: Sequence[str] = (),
) -> str:
    """Text of the script.

    Args:
        request: what to run.
        dialect: the scheduler's.
        site: modules, set-up and scratch directory.
        made_by: the command that made it, for the first comment.
        folder: directory to run in.
        results: folder of the result files.
        indices: what the array covers; a single one is written into the script.
        table: the array counts from 1 and the script looks the index up.
        wrap: words before the command, such as ``srun`` and its options.
        before: bash lines before the command.
        after: bash lines after it; they see and may change ``$asit_code``, and set ``$asit_unsure`` for no result.
    """
    name = request.name if len(indices) > 1 else None
    restartable = bool(request.num_nodes or request.signal_before)
    request = request if name else _fixed(request, indices[0])

    def quote(text: str) -> str:
        pieces = text.split(name) if name else [text]
        return '"$asit_index"'.join(shlex.quote(p) if p or len(pieces) == 1 else "" for p in pieces) or "''"

    command = " ".join([*map(shlex.quote, wrap), *_command(request, quote)])
    line = " ".join(word if word in OPERATORS else shlex.quote(word) for word in request.argv).replace("\n", "\n# ")
    lines = [
        "#!/bin/bash",
        f"# Written by {made_by}.".replace("\n", " "),
        f"cd -- {shlex.quote(folder)} || exit 1",
        f"asit_index={_index(dialect, indices, table)}",
        f'asit_job="{dialect.array_job if len(indices) > 1 else dialect.job}"',
        f"asit_log={quote(request.log)}",
        f'asit_result={shlex.quote(results)}/"$asit_index"',
        *_FINISH.format(
            preempted=PREEMPTED,
            requeue=f"\n        {dialect.requeue}" if dialect.requeue else "\n        :",
            threads=request.num_threads,
            reserved="|".join(map(str, dialect.reserved)) or "-",
            stopped="138 | 140" if restartable else "-",  # killed by SIGUSR1 or SIGUSR2
            early=PREEMPTED if restartable else 140,
        ).splitlines(),
        f'{dialect.restarted} || : >"$asit_log"',
        'exec >>"$asit_log" 2>&1 </dev/null || exit 1',
        f"printf '# %s\\n' {quote(line)}",
        'printf "# Running on %s\\n# Started at %s\\n# Job %s\\n#\\n" "$(hostname)" "$(date)" "$asit_job"',
        *_environment(request, site),
        *before,
        "trap asit_finish EXIT",  # again: path.sh may have set its own
        f"asit_command=({command})",
        *_RUN.splitlines(),
        *after,
        'asit_reached=1; exit "$asit_code"',
    ]
    return "\n".join(lines) + "\n"


_FINISH = """asit_finish() {{
    asit_code=$?
    # Without its last line the script was ended by a signal, such as SIGHUP of a lost node's daemon; the code may be 0.
    if [ -z "$asit_reached" ] && [ "$asit_code" = 0 ]; then asit_code=143 asit_unsure=1; fi
    trap '' TERM USR1 USR2
    trap - EXIT
    case $asit_code in
        {stopped}) asit_code={preempted} ;; # a notice came before the command could listen
    esac
    asit_seconds=$(($(date +%s) - asit_started))
    echo "# Accounting: time=$asit_seconds threads={threads}"
    echo "# Finished at $(date) with status $asit_code"
    [ -z "$asit_scratch" ] || rm -rf -- "$asit_scratch"
    if [ "$asit_code" = {preempted} ]; then{requeue}
    fi
    if [ -z "$asit_unsure" ] && [ -d "${{asit_result%/*}}" ]; then # somebody waits
        printf '%s\\n' "$asit_code" >"$asit_result.tmp" && mv -f -- "$asit_result.tmp" "$asit_result"
    fi
    case $asit_code in
        {reserved}) exit 1 ;;
    esac
    exit "$asit_code"
}}
asit_started=$(date +%s) asit_scratch="" asit_unsure="" asit_reached=""
trap asit_finish EXIT
trap 'exit {early}' USR1 USR2
trap 'exit 143' TERM"""

# `wait` returns early when a trap has run; a command that has been waited for gives 127 the next time.
_RUN = """asit_pass_on() {
    asit_signalled=1
    [ -z "$asit_child" ] || kill -s "$1" "$asit_child" 2>/dev/null
}
trap 'asit_pass_on USR1' USR1
trap 'asit_pass_on USR2' USR2
trap 'asit_signalled=1 asit_terminated=1' TERM # schedulers send it to every process of the job
asit_code="" asit_child="" asit_terminated=""
"${asit_command[@]}" &
asit_child=$!
while :; do
    asit_signalled=""
    wait "$asit_child"
    asit_now=$?
    if [ -n "$asit_code" ] && [ "$asit_now" = 127 ]; then break; fi
    asit_code=$asit_now
    [ -n "$asit_signalled" ] || break
done"""


def _environment(request: Request, site: Site) -> list[str]:
    lines = []
    if site.modules:
        lines.append("module load " + " ".join(map(shlex.quote, site.modules.split())) + " || exit 1")
    lines += site.setup.splitlines()
    if site.scratch:
        where = re.sub(r"[^A-Za-z0-9_/${}.,:+@=-]", lambda m: "\\" + m[0], site.scratch)  # variables stay variables
        lines += [f"asit_scratch=$(mktemp -d {where}/asit.XXXXXX) || exit 1", 'export TMPDIR="$asit_scratch"']
    lines.append("if [ -f ./path.sh ]; then . ./path.sh; fi")
    lines.append('[ "$CUDA_VISIBLE_DEVICES" != NoDevFiles ] || export CUDA_VISIBLE_DEVICES=""')
    if request.gpus == 0:
        lines.append('export CUDA_VISIBLE_DEVICES=""')
    if "num-threads" in request.options:
        lines.append(f"export OMP_NUM_THREADS={request.num_threads}")
    lines.append(f'export ASIT_LOCK_WAIT="${{ASIT_LOCK_WAIT:-{LOCK_WAIT}}}"')
    return lines


def _command(request: Request, quote) -> list[str]:  # noqa: ANN001 - a local function of script()
    if OPERATORS.isdisjoint(request.argv):
        return [quote(word) for word in request.argv]
    line = " ".join(word if word in OPERATORS else shlex.quote(word) for word in request.argv)
    return ["bash", "-c", "'set -o pipefail; '" + quote(line)]


def _index(dialect: Dialect, indices: Sequence[int], table: bool) -> str:
    if len(indices) == 1:
        return str(indices[0])
    if not table:
        return dialect.index
    return f'$(set -- {" ".join(map(str, indices))}; shift $(({dialect.index} - 1)); echo "$1")'


def _fixed(request: Request, index: int) -> Request:
    job = request.job(index)
    return Request(job.log, job.argv, None, 1, 1, request.options, request.given, request.native)
