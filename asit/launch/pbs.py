"""PBS (OpenPBS, PBS Professional): ``qsub -J`` with job arrays, states from ``qstat``.

Torque has another option for arrays (``-t``) and is not supported.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from asit.errors import AsitError
from asit.launch.batch_script import Dialect
from asit.launch.contract import Request
from asit.launch.scheduler import SINGLE, Submission, TaskState, ask, require
from asit.launch.site import Site

# Exit_status of jobs that PBS itself ended (job.h of OpenPBS).
_KILLED = {
    -25: "it used more cores than it asked for: see --num-threads",
    -26: "out of memory: ask for more with --mem",
    -27: "out of memory: ask for more with --mem",
    -28: "its CPU time is used up",
    -29: "the time limit was reached: ask for more with --time",
}


class Pbs:
    """See :class:`asit.launch.scheduler.Scheduler`."""

    title = "PBS"
    config = "conf/pbs.conf"
    default = """
command qsub -V -S /bin/bash -j oe
option mem=* -l mem=$0
option mem=0
option num_threads=* -l ncpus=$0
option time=* -l walltime=$0
option gpu=* -l ngpus=$0
option gpu=0
"""
    handled = frozenset({"num-nodes"})
    dialect = Dialect(
        index="$PBS_ARRAY_INDEX",
        job="$PBS_JOBID",
        array_job="$PBS_JOBID",
        restarted="false",  # a job may not put itself back (qrerun is for operators): the waiting command submits again
    )
    any_indices = False

    def submission(self, request: Request, site: Site, conf_words: Sequence[str]) -> Submission:
        """Every option of the request comes from the description of submissions."""
        if request.num_nodes is not None and request.num_nodes > 1:
            raise AsitError(
                f"--num-nodes {request.num_nodes}: with PBS a training runs on one node; use --gpu for its GPUs"
            )
        if not request.dry_run:  # which shows it anywhere
            require("qsub", self.title)
        words = [*conf_words]
        queue = site.queue(request.gpus)
        words += ["-q", queue] if queue else []
        words += ["-A", site.account] if site.account else []
        words += ["-l", site.constraint] if site.constraint else []
        return Submission((*words, *site.words(), *request.native))

    def spell(self, name: str, value: str) -> str:
        """PBS wants a ``b`` in sizes.

        >>> Pbs().spell("mem", "4G")
        '4gb'
        """
        match = re.fullmatch(r"(\d+)(?:([KMGT])i?B?)?", value, re.IGNORECASE) if name == "mem" else None
        return f"{match[1]}{(match[2] or '').lower()}b" if match and value != "0" else value

    def array(self, indices: Sequence[int], most: int | None) -> list[str]:
        """``-J 1-3%2``."""
        return ["-J", f"{indices[0]}-{indices[-1]}" + (f"%{most}" if most else "")]

    def output(self, path: str, is_array: bool) -> list[str]:
        """A colon would be taken for a host's name before the path."""
        if ":" in path:
            raise AsitError(f"{path}: PBS cannot write to a path with a colon; name another log")
        return ["-o", path + (".^array_index^" if is_array else "")]

    def job_id(self, printed: str) -> str:
        """From ``12.server`` or ``12[].server``."""
        match = re.search(r"^(\d+(?:\[\])?(?:\.\S+)?)$", printed.strip(), re.MULTILINE)
        return match[1] if match else ""

    def states(self, job_id: str) -> dict[int, TaskState] | None:
        """From ``qstat``; what has ended stays in it where the server keeps a history."""
        which = ["-t", job_id] if "[]" in job_id else [job_id]
        code, printed, errors = ask("qstat", "-x", "-f", *which)
        if code and "history" in errors.lower():
            code, printed, errors = ask("qstat", "-f", *which)
        if code and not printed.strip():
            return {} if re.search(r"Unknown Job|has finished|not found", errors) else None
        found: dict[int, TaskState] = {}
        for block in re.split(r"^Job Id: ", printed, flags=re.MULTILINE)[1:]:
            name = block.split(maxsplit=1)[0]
            task = re.match(r"\d+\[(\d*)\]", name)
            if task and not task[1]:
                continue  # the array as a whole
            found[int(task[1]) if task else SINGLE] = _state(re.sub(r"\n\t\s*", "", block))
        return found

    def last_words(self, job_id: str, task: int) -> str:
        """All that PBS tells is in :meth:`states`."""
        return ""

    def cancel(self, job_id: str) -> list[str]:
        """``qdel``."""
        return ["qdel", job_id]


def _state(block: str) -> TaskState:
    facts = dict(re.findall(r"^\s+(\w+) = (.*)$", block, re.MULTILINE))
    letter, comment = facts.get("job_state", "?"), facts.get("comment", "")
    if letter not in ("F", "X", "C"):
        return TaskState(letter)
    status = int(facts["Exit_status"]) if re.fullmatch(r"-?\d+", facts.get("Exit_status", "")) else None
    name = f"{letter}, exit status {'unknown' if status is None else status}"
    if status is None:
        return TaskState(name, True, f"it ended without having run: {comment or 'it was deleted'}")
    if status in _KILLED:
        return TaskState(name, True, _KILLED[status])
    if status < 0:
        return TaskState(name, True, f"PBS could not run it: {comment or 'see qstat -xf'}")
    if status > 256:
        return TaskState(name, True, f"it was ended by signal {status - 256}: {comment or 'deleted, or over a limit'}")
    return TaskState(name, True)
