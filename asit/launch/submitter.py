"""What is submitted to a scheduler: words, script, and names of tasks and files of one request."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from asit.errors import AsitError
from asit.launch import batch_script, queue_conf, site
from asit.launch.contract import Request, make_log_folder
from asit.launch.scheduler import SINGLE, Scheduler, Submission, ask

_OWN = frozenset({"config", "pick", "retries", "dry-run", "max-jobs-run"})  # options that submissions do not see


class Submitter:
    """Submits indices of a request, or shows what it would submit.

    Attributes:
        folder: of scripts and of what the scheduler says, beside the logs.
        base: what the names of these files begin with.

    Raises:
        AsitError: an option that is not described, a wrong file of the site.
    """

    def __init__(self, request: Request, scheduler: Scheduler, program: str) -> None:
        self._request, self._scheduler, self._program = request, scheduler, program
        self._site = site.load()
        self._conf = queue_conf.read(request.options.get("config"), scheduler.config, scheduler.default)
        self.folder = os.path.join(os.path.dirname(request.log) or ".", "q")
        name = os.path.basename(request.log)
        if request.name:
            name = name.replace(f".{request.name}", "").replace(request.name, "")
        self.base = name.removesuffix(".log") or "job"
        self._plan(request)  # a wrong option is told before anything is done

    def show(self, todo: Sequence[int]) -> None:
        """Write the script and print it with the line that would submit it (``--dry-run``)."""
        if not todo:
            print("nothing to run")
            return
        words, script, text = self._prepare(self._request, todo, os.path.join(self.folder, f"{self.base}.results"))
        make_log_folder(script)
        _write(script, text)
        print(f"# settings of the site: {self._site.path or 'none (docs/cluster.md says how to give them)'}")
        print(f"# submissions: {self._conf.path}")
        print(f"# {script}:")
        print("\n".join(f"    {line}" if line else "" for line in text.splitlines()))
        print(shlex.join(words))

    def _plan(self, request: Request) -> tuple[Submission, int | None]:
        """(submission, jobs at a time) of a request."""
        options = {k: v for k, v in self._conf.with_defaults(request.options).items() if k not in _OWN}
        options = {k: self._scheduler.spell(k, v) for k, v in options.items() if f"-{k}" not in request.native}
        words, most = self._conf.words(options, self._scheduler.handled), request.max_jobs_run
        if most is not None and self._conf.describes("max-jobs-run"):
            if len(request.indices) > 1:
                words += self._conf.words({"max-jobs-run": str(most)})
            most = None
        return self._scheduler.submission(request, self._site, [*self._conf.command, *words]), most

    def _prepare(self, request: Request, todo: Sequence[int], results: str) -> tuple[list[str], str, str]:
        """(words that submit, script's path, script's text)."""
        planned, most = self._plan(request)
        is_array, table = len(todo) > 1, self._needs_table(todo)
        script = os.path.join(self.folder, f"{self.base}.sh")
        words = list(planned.words)
        if is_array:
            words += self._scheduler.array(range(1, len(todo) + 1) if table else todo, most)
        words += self._scheduler.output(os.path.join(self.folder, f"{self.base}.out"), is_array)
        words.append(script)
        text = batch_script.script(
            request,
            self._scheduler.dialect,
            self._site,
            made_by=self._program,
            folder=os.getcwd(),
            results=os.path.abspath(results),
            indices=todo,
            table=table,
            wrap=planned.wrap,
            before=planned.before,
            after=planned.after,
        )
        return words, script, text + f"# submitted with: {shlex.join(words)}".replace("\n", "\n# ") + "\n"

    def submit(self, request: Request, todo: Sequence[int], results: str) -> str:
        """The scheduler's id of the job. Raises AsitError: nothing can be written, the scheduler refuses."""
        words, script, text = self._prepare(request, todo, results)
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            shutil.rmtree(results, ignore_errors=True)
            os.makedirs(results)
            _write(script, text)
        except OSError as error:
            raise AsitError(f"{error.filename}: cannot write the job's script: {error.strerror}") from None
        for wait in (2, 10, 30, 0):  # a scheduler that is restarting
            code, printed, errors = ask(*words)
            job_id = self._scheduler.job_id(printed) if code == 0 else ""
            if job_id:
                return job_id
            said = " ".join((errors or printed).split())
            if not wait or not re.search(r"[Uu]nable to contact|[Cc]annot connect|qmaster|timed out|refused", said):
                break
            print(f"{self._program}: {said}; trying again in {wait} s", file=sys.stderr)
            time.sleep(wait)
        raise AsitError(
            f"{words[0]} did not take the job (code {code}): {said or 'it said nothing'}; submitted with: "
            f"{shlex.join(words)}"
        )

    def with_more_memory(self, request: Request) -> Request:
        """Twice the memory of the attempt before."""
        before = request.options.get("mem", self._conf.defaults.get("mem", ""))
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", before)
        if not match or not self._conf.describes("mem"):
            print(f"{self._program}: out of memory, and no --mem that could be raised is given", file=sys.stderr)
            return request
        more = f"{2 * float(match[1]):g}{match[2]}"
        print(f"{self._program}: out of memory: --mem {more} instead of {before}", file=sys.stderr)
        return replace(request, options={**request.options, "mem": more})

    def task(self, todo: Sequence[int], index: int) -> int:
        """The scheduler's number of an index in an array of the indices ``todo``."""
        if len(todo) == 1:
            return SINGLE
        return todo.index(index) + 1 if self._needs_table(todo) else index

    def _needs_table(self, todo: Sequence[int]) -> bool:
        contiguous = todo[-1] - todo[0] == len(todo) - 1
        return len(todo) > 1 and not contiguous and not self._scheduler.any_indices


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o700)) as stream:
        stream.write(text)
