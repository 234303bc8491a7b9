"""Jobs on a cluster: submit an array, wait for it, run failed indices again, tell what went wrong.

The waiting process learns of results from files that the jobs write (see :mod:`asit.launch.batch_script`) and of all
else, such as a time limit or a lost machine, from the scheduler, which it asks at growing intervals of up to
``POLL_SECONDS`` seconds. A state that is a failure is told when it is seen, without waiting for a result.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType

from asit.errors import AsitError
from asit.launch import failures
from asit.launch.contract import DRY_RUN, Request, make_log_folder
from asit.launch.scheduler import SINGLE, Scheduler, TaskState, ask
from asit.launch.submitter import Submitter

POLL_SECONDS = 10.0
"""Longest time between two questions to the scheduler; ASIT_POLL_SECONDS changes it."""
LAG = 15.0
"""Seconds that a result may take to appear on a shared file system."""
_KILLED = 137
_SILENCE = 120.0  # seconds without an answer of the scheduler after which the person is told


class _StopError(Exception):
    """A signal asked this process to stop."""


@dataclass(frozen=True)
class _Outcome:
    """How an index ended: its exit code, and what the scheduler says where there is no such code."""

    code: int
    why: str = ""

    @property
    def memory(self) -> bool:
        """Whether more memory could help."""
        return self.code == _KILLED or "OUT_OF_MEMORY" in self.why or "out of memory" in self.why


def run(request: Request, scheduler: Scheduler, program: str) -> int:
    """Run all jobs of a request; the process's exit code.

    0 when all succeeded, 1 when any failed, 128 + n after signal n, which cancels the jobs, ``DRY_RUN`` when nothing
    was submitted.

    Raises:
        AsitError: an option that is not described, no such scheduler here, a log cannot be written, not submitted.
    """
    submitter = Submitter(request, scheduler, program)
    todo, failed = request.picked()
    if request.dry_run:
        submitter.show(todo)
        return DRY_RUN
    runner = _Runner(request, scheduler, submitter, program)
    try:
        failed += runner.run(todo)
    except _StopError:
        print(f"{program}: signal {runner.signal}: cancelling the jobs", file=sys.stderr)
        runner.cancel()
        return 128 + runner.signal
    if failed:
        print(failures.report(program, request, sorted(failed)), file=sys.stderr)
        return 1
    return 0


class _Runner:
    def __init__(self, request: Request, scheduler: Scheduler, submitter: Submitter, program: str) -> None:
        self.signal = 0
        self._request, self._scheduler, self._submitter, self._program = request, scheduler, submitter, program
        self._jobs: list[str] = []
        self._poll = float(os.environ.get("ASIT_POLL_SECONDS", POLL_SECONDS))

    def run(self, todo: list[int]) -> list[int]:
        """Run the indices; those that failed for good."""
        request, attempt, failed = self._request, 1, []
        for index in todo:
            log = request.job(index).log
            make_log_folder(log)
            if os.path.exists(log) and not os.access(log, os.W_OK):
                raise AsitError(f"{log}: cannot write the log; change its owner or name another log")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_stop)
        while todo:
            outcomes = self._round(request, todo)
            saved = [i for i, o in outcomes.items() if o.code == failures.PREEMPTED and not o.why]
            again = [i for i, o in outcomes.items() if o.code != 0 and i not in saved]
            if again and attempt > self._request.retries:
                failed, again = failed + again, []
            for index in again:
                log = self._request.job(index).log
                if os.path.exists(log):
                    os.replace(log, f"{log}.attempt{attempt}")
            if again:
                if any(outcomes[i].memory for i in again):
                    request = self._submitter.with_more_memory(request)
                print(f"{self._program}: retry {attempt}: {self._named(again)}", file=sys.stderr)
                attempt += 1
            if saved:
                print(f"{self._program}: stopped after saving, submitting again: {self._named(saved)}", file=sys.stderr)
            todo = sorted(again + saved)
        return failed

    def cancel(self) -> None:
        """Remove what is in the queue."""
        for job_id in self._jobs:
            code, _, errors = ask(*self._scheduler.cancel(job_id))
            if code:
                print(f"{self._program}: cannot cancel job {job_id}: {errors.strip()}", file=sys.stderr)

    # --- waiting

    def _round(self, request: Request, todo: Sequence[int]) -> dict[int, _Outcome]:
        """Submit indices and wait for all of them."""
        results = os.path.join(self._submitter.folder, f"{self._submitter.base}.{os.getpid()}.results")
        try:
            self._check_stop()
            job_id = self._submitter.submit(request, todo, results)
            self._jobs.append(job_id)
            outcomes = self._wait(job_id, todo, results)
            self._jobs.remove(job_id)
            return outcomes
        finally:
            shutil.rmtree(results, ignore_errors=True)
            for index in todo:
                _remove_empty(self._said_in(self._submitter.task(todo, index)))

    def _wait(self, job_id: str, todo: Sequence[int], results: str) -> dict[int, _Outcome]:
        done: dict[int, _Outcome] = {}
        silent: dict[int, float] = {}  # tasks that are gone without a result, and since when
        pause, next_question = 0.05, time.monotonic() + min(0.5, self._poll)
        between, answered = min(0.5, self._poll), time.monotonic()
        while True:
            for index in _results(results, todo):
                if index not in done:
                    done[index] = self._result(job_id, todo, index, results)
            if len(done) == len(todo):
                return done
            self._check_stop()
            if time.monotonic() >= next_question:
                states = self._scheduler.states(job_id)
                if states is not None:
                    answered = time.monotonic()
                elif time.monotonic() - answered > _SILENCE:
                    answered = time.monotonic()
                    silence = f"{self._scheduler.title} has not answered for a while; still waiting for job {job_id}"
                    print(f"{self._program}: {silence}", file=sys.stderr)
                for index in todo if states is not None else ():
                    if index in done or index in _results(results, todo):
                        continue
                    state = states.get(self._submitter.task(todo, index))
                    if outcome := self._judge(job_id, todo, index, state, silent):
                        done[index] = outcome
                        self._note(index, job_id, todo, outcome)
                between = min(between * 1.5, self._poll)
                next_question = time.monotonic() + between
            time.sleep(pause)
            pause = min(pause * 1.2, 1.0, self._poll)

    def _result(self, job_id: str, todo: Sequence[int], index: int, results: str) -> _Outcome:
        with open(os.path.join(results, str(index)), encoding="ascii") as stream:
            code = int(stream.read() or 1)
        if not 128 < code < 160 and code != 255:  # bash gives 255 where a signal comes while it starts the command
            return _Outcome(code)
        for _ in range(10):  # a signal ended it: the scheduler may know why, perhaps a moment later
            state = (self._scheduler.states(job_id) or {}).get(self._submitter.task(todo, index))
            if state is None or state.ended:
                break
            time.sleep(min(0.3, self._poll))
        why = f"state {state.name}: {state.why}" if state is not None and state.why else ""
        outcome = _Outcome(code, why)
        if why:
            self._note(index, job_id, todo, outcome)
        return outcome

    def _judge(
        self, job_id: str, todo: Sequence[int], index: int, state: TaskState | None, silent: dict[int, float]
    ) -> _Outcome | None:
        """How an index without a result ended, as far as can be said now."""
        if state is not None and not state.ended:
            silent.pop(index, None)
            return None
        if state is not None and state.why:
            return _Outcome(1, f"state {state.name}: {state.why}")
        since = silent.setdefault(index, time.monotonic())
        words = self._scheduler.last_words(job_id, self._submitter.task(todo, index)) if state is None else ""
        if not words and time.monotonic() - since < LAG:
            return None
        if state is not None:
            words = f"state {state.name}"
        return _Outcome(1, f"{words or 'it has left the queue'}, without a result of its own")

    def _note(self, index: int, job_id: str, todo: Sequence[int], outcome: _Outcome) -> None:
        """Write into the log what only the scheduler knows, and how the job ended."""
        log = self._request.job(index).log
        task = self._submitter.task(todo, index)
        said = _tail(self._said_in(task))
        where = f"{self._scheduler.title} job {job_id}" + (f" task {task}" if task != SINGLE else "")
        text = f"{said}{self._program}: error: {where}: {outcome.why}\n"
        try:
            with open(log, "a", encoding="utf-8") as stream:
                stream.write(f"{text}# Finished at {time.ctime()} with status {outcome.code}\n")
        except OSError as error:
            print(f"{self._program}: {log}: {error.strerror}: {text}", end="", file=sys.stderr)

    # --- small things

    def _said_in(self, task: int) -> str:
        """File of what the scheduler itself says about a task."""
        return os.path.join(
            self._submitter.folder, f"{self._submitter.base}.out" + (f".{task}" if task != SINGLE else "")
        )

    def _named(self, indices: Sequence[int]) -> str:
        return f"{self._request.name}={failures.compact(indices)}" if self._request.name else "the job"

    def _check_stop(self) -> None:
        if self.signal:
            raise _StopError

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self.signal = number


def _results(folder: str, todo: Sequence[int]) -> list[int]:
    try:
        names = os.listdir(folder)  # also makes a network file system look again
    except OSError:
        return []
    wanted = set(todo)
    return [int(name) for name in names if name.isdigit() and int(name) in wanted]


def _remove_empty(path: str) -> None:
    if os.path.exists(path) and os.path.getsize(path) == 0:
        os.remove(path)


def _tail(path: str) -> str:
    """Last lines of what the scheduler wrote, if anything."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            lines = stream.read()[-4000:].splitlines()[-10:]
    except OSError:
        return ""
    return "".join(f"{line}\n" for line in lines)
