"""Grid Engine: ``qsub -t`` with task arrays, states from ``qstat`` and, of tasks that are gone, ``qacct``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from asit.errors import AsitError
from asit.launch.batch_script import Dialect
from asit.launch.contract import Request
from asit.launch.scheduler import SINGLE, Submission, TaskState, ask, require, seconds
from asit.launch.site import Site

_SIGNALS = {9: "killed, most often for its memory or time limit", 15: "ended by SIGTERM", 24: "its CPU time is used up"}
_FAILED = {
    "37": "the time limit was reached: ask for more with --time",
    "100": "the job was ended by a signal",
}


class GridEngine:
    """See :class:`asit.launch.scheduler.Scheduler`."""

    title = "Grid Engine"
    config = "conf/queue.conf"
    default = """
command qsub -V -cwd -S /bin/bash -j y
option mem=* -l mem_free=$0
option mem=0
option num_threads=* -pe smp $0
option num_threads=1
option time=* -l h_rt=$0
option gpu=* -l gpu=$0
option gpu=0
"""
    handled = frozenset({"num-nodes", "signal-before"})
    dialect = Dialect(
        index="$SGE_TASK_ID",
        job="$JOB_ID",
        array_job="$JOB_ID.$SGE_TASK_ID",
        restarted='[ "${RESTARTED:-0}" = 1 ]',
        requeue="exit 99",  # Grid Engine's code for "run me again"
        reserved=(99, 100),
    )
    any_indices = False

    def submission(self, request: Request, site: Site, conf_words: Sequence[str]) -> Submission:
        """``--signal-before`` needs ``--time``: a soft limit (SIGUSR1) that many seconds before the hard one."""
        if request.num_nodes is not None and request.num_nodes > 1:
            raise AsitError(
                f"--num-nodes {request.num_nodes}: with Grid Engine a training runs on one node; use --gpu for its GPUs"
            )
        if not request.dry_run:  # which shows it anywhere
            require("qsub", self.title)
        words = [*conf_words, "-r", "y"]
        if request.signal_before:
            limit = seconds(request.options.get("time", ""))
            if limit is None or limit <= request.signal_before:
                raise AsitError(
                    f"--signal-before {request.signal_before}: needs a longer --time (hours:minutes:seconds or seconds)"
                )
            words += ["-notify", "-l", f"s_rt={limit - request.signal_before}"]
        queue = site.queue(request.gpus)
        words += ["-q", queue] if queue else []
        words += ["-P", site.account] if site.account else []
        words += ["-l", site.constraint] if site.constraint else []
        return Submission((*words, *site.words(), *request.native))

    def spell(self, name: str, value: str) -> str:
        """Values stay as they are."""
        return value

    def array(self, indices: Sequence[int], most: int | None) -> list[str]:
        """``-t 1-3 -tc 2``."""
        return ["-t", f"{indices[0]}-{indices[-1]}", *(["-tc", str(most)] if most else [])]

    def output(self, path: str, is_array: bool) -> list[str]:
        """A colon would be taken for a host's name before the path."""
        if ":" in path:
            raise AsitError(f"{path}: Grid Engine cannot write to a path with a colon; name another log")
        return ["-o", path + (".$TASK_ID" if is_array else "")]

    def job_id(self, printed: str) -> str:
        """From ``Your job 12 ("x") has been submitted`` or ``Your job-array 12.1-3:1 ...``."""
        match = re.search(r"^Your job(?:-array)? (\d+)", printed, re.MULTILINE) or re.fullmatch(r"(\d+)\S*\s*", printed)
        return match[1] if match else ""

    def states(self, job_id: str) -> dict[int, TaskState] | None:
        """From ``qstat``, which knows only what has not ended."""
        code, printed, _ = ask("qstat", "-u", "*", "-xml")
        if code:
            return None
        try:
            jobs = list(ElementTree.fromstring(printed).iter("job_list"))
        except ElementTree.ParseError:
            return None
        found: dict[int, TaskState] = {}
        for job in jobs:
            if job.findtext("JB_job_number") != job_id:
                continue
            name = job.findtext("state") or ""
            why = ""
            if "E" in name:
                why = "Grid Engine could not start it: " + self._explain(job_id)
            for task in _tasks(job.findtext("tasks") or ""):
                found[task] = TaskState(name, "E" in name, why)
        return found

    def last_words(self, job_id: str, task: int) -> str:
        """From ``qacct``, which may know a job only some seconds after its end."""
        code, printed, _ = ask("qacct", "-j", job_id, *(["-t", str(task)] if task != SINGLE else []))
        facts = dict(re.findall(r"^(\w+)\s+(.*?)\s*$", printed, re.MULTILINE))
        if code or "exit_status" not in facts:
            return ""
        failed, status = facts.get("failed", "0"), facts["exit_status"]
        words = f"Grid Engine says: failed {failed}, exit status {status}"
        if facts.get("maxvmem", "0.000") != "0.000":
            words += f", largest memory {facts['maxvmem']}"
        why = _FAILED.get(failed.split()[0])
        number = int(status) - 128 if status.isdigit() else 0
        if (number in _SIGNALS and why is None) or failed.startswith("100"):
            why = _SIGNALS.get(number, why)
        if "deleted" in facts.get("deleted_by", "") or "qdel" in failed:
            why = "it was deleted"
        return words + (f" ({why})" if why else "")

    def cancel(self, job_id: str) -> list[str]:
        """``qdel``."""
        return ["qdel", job_id]

    def _explain(self, job_id: str) -> str:
        printed = ask("qstat", "-j", job_id)[1]
        reasons = re.findall(r"^error reason.*?:\s*(.*)$", printed, re.MULTILINE)
        return f"{reasons[0].strip() if reasons else 'see qstat -j ' + job_id}; then qdel or `qmod -cj {job_id}`"


def _tasks(text: str) -> list[int]:
    """Numbers in ``1-3:1,7``; :data:`SINGLE` where there are none.

    >>> _tasks("1-5:2,7")
    [1, 3, 5, 7]
    """
    found: list[int] = []
    for part in filter(None, text.split(",")):
        numbers = [int(n) for n in re.findall(r"\d+", part)]
        first, last, step = (
            (*numbers, 1) if len(numbers) == 2 else numbers if len(numbers) == 3 else (*numbers[:1] * 2, 1)
        )
        found += range(first, last + 1, step)
    return found or [SINGLE]
