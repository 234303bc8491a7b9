"""Jobs on this machine: the drop-in for Kaldi's ``run.pl``.

Beyond ``run.pl``: each GPU job sees only its own devices (CUDA_VISIBLE_DEVICES), ``--num-threads`` sets
OMP_NUM_THREADS, interrupting ends the jobs with all their children, ``--retries`` starts a failed index again, and a
failure is told with its cause. ``--mem``, ``--time`` and ``--config`` are for clusters and change nothing here.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from types import FrameType

from asit.errors import AsitError
from asit.launch import failures
from asit.launch.contract import DRY_RUN, Job, Request, footer, header, make_log_folder

GRACE = 30.0
"""Seconds that jobs get between SIGTERM and SIGKILL: enough to save a checkpoint."""
_LINGER = 2.0  # seconds for the children of a job that has itself ended


class _StopError(Exception):
    """A signal asked this process to stop."""


def run(request: Request, program: str) -> int:
    """Run all jobs of a request; the process's exit code.

    0 when all succeeded (also those that ``--pick`` left alone), 1 when any failed, 128 + n after signal n,
    ``DRY_RUN`` when nothing ran.

    Raises:
        AsitError: a log cannot be written, more GPUs are asked for than there are.
    """
    todo, failed = request.picked()
    if request.dry_run:
        for job in map(request.job, todo):
            print(f"{job.line()} >{shlex.quote(job.log)} 2>&1")
        return DRY_RUN
    for index in todo:
        make_log_folder(request.job(index).log)
    devices = visible_gpus() if request.gpus else []
    if request.gpus and not devices:
        print(f"{program}: warning: no GPU found, the jobs run without one", file=sys.stderr)
    elif request.gpus and request.gpus > len(devices):
        raise AsitError(f"--gpu {request.gpus}: only {len(devices)} can be used here ({', '.join(devices)})")
    runner = _Runner(request, devices, len(todo))
    try:
        failed += runner.run(todo)
    except _StopError:
        print(f"{program}: signal {runner.signal}: stopping the jobs", file=sys.stderr)
        runner.stop()
        return 128 + runner.signal
    if failed:
        print(failures.report(program, request, sorted(failed)), file=sys.stderr)
        return 1
    return 0


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use: CUDA_VISIBLE_DEVICES, else what ``nvidia-smi`` lists."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [d.strip() for d in named.split(",") if d.strip() not in ("", "-1", "NoDevFiles")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(i) for i, _ in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]


def jobs_at_a_time(request: Request, count: int, devices: int, cores: int) -> int:
    """How many of ``count`` jobs run together: ``--max-jobs-run``, or what the GPUs or cores carry.

    As in ``run.pl``, a few jobs more than cores (up to 1.4 times) all start at once rather than leave stragglers.
    """
    if request.gpus:
        most = max(1, devices // request.gpus)
    else:
        most = max(1, cores // request.num_threads)
        if count < 1.4 * most:
            most = count
    if request.max_jobs_run is not None:
        most = min(most, request.max_jobs_run) if request.gpus and devices else request.max_jobs_run
    return max(1, min(most, count))


class _Running:
    """A started job."""

    def __init__(self, job: Job, process: subprocess.Popen[bytes], devices: list[str], attempt: int) -> None:
        self.job, self.process, self.devices, self.attempt = job, process, devices, attempt
        self.started = time.time()


class _Runner:
    """Starts jobs, a bounded number at a time, in one thread; every job leads its own process group."""

    def __init__(self, request: Request, devices: list[str], count: int) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.signal = 0
        self._request = request
        self._free = list(devices)
        self._most = jobs_at_a_time(request, count, len(devices), cores)
        self._running: dict[int, _Running] = {}
        self._waiting = False
        self._notice = 0  # the last one that was passed on
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_stop)
        for number in (signal.SIGUSR1, signal.SIGUSR2):  # a scheduler's notice of preemption is for the jobs
            signal.signal(number, self._pass_on)

    def run(self, todo: list[int]) -> list[int]:
        """Run the indices; those that failed for good."""
        queue = [(self._request.job(index), 1) for index in reversed(todo)]
        failed: list[int] = []
        while queue or self._running:
            while queue and len(self._running) < self._most:
                job, attempt = queue.pop()
                if not self._start(job, attempt):
                    failed.append(job.index)
            if not self._running:
                continue
            done, code = self._wait()
            if code == 0:
                continue
            if done.attempt <= self._request.retries and code != failures.PREEMPTED:
                os.replace(done.job.log, f"{done.job.log}.attempt{done.attempt}")
                queue.append((done.job, done.attempt + 1))
            else:
                failed.append(done.job.index)
        return failed

    def stop(self) -> None:
        """End all running jobs and their children: SIGTERM, and SIGKILL after a time or at the next signal."""
        deadline = time.monotonic() + GRACE
        self.signal, first = 0, self.signal
        for pid in self._running:
            _signal_group(pid, signal.SIGTERM)
        groups = list(self._running)
        while self._running and time.monotonic() < deadline and not self.signal:
            for pid in list(self._running):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    self._ended(pid, os.waitstatus_to_exitcode(status))
                    deadline = min(deadline, time.monotonic() + _LINGER) if not self._running else deadline
            time.sleep(0.05)
        while any(_signal_group(pid, 0) for pid in groups) and time.monotonic() < deadline and not self.signal:
            time.sleep(0.05)
        for pid in groups:
            _signal_group(pid, signal.SIGKILL)
        for pid in list(self._running):
            self._ended(pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        self.signal = first

    def _start(self, job: Job, attempt: int) -> bool:
        """Start a job; False when its command cannot be started (the log tells why)."""
        environment, devices = dict(os.environ), []
        if self._request.gpus is not None:
            devices = [self._free.pop(0) for _ in range(self._request.gpus)] if self._free else []
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        if "num-threads" in self._request.options:
            environment["OMP_NUM_THREADS"] = str(self._request.num_threads)
        self._notice = 0
        try:
            with open(job.log, "wb") as log:
                log.write(header(job, time.time()).encode())
                log.flush()
                process = subprocess.Popen(
                    job.command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            if error.filename == job.log:
                raise AsitError(f"{job.log}: cannot write the log: {error.strerror}") from None
            self._free += devices
            now = time.time()
            with open(job.log, "a", encoding="utf-8") as log_text:
                log_text.write(f"error: cannot start '{job.argv[0]}': {error.strerror}\n")
                log_text.write(footer(127, now, now, self._request.num_threads))
            return False
        self._running[process.pid] = _Running(job, process, devices, attempt)
        if self._notice:  # it came while this job started, and met only the others
            _signal_group(process.pid, self._notice)
        return True

    def _wait(self) -> tuple[_Running, int]:
        """Wait until a job ends; the job and its exit code."""
        self._waiting = True
        if self.signal:
            raise _StopError
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid in self._running:
                self._waiting = False
                code = os.waitstatus_to_exitcode(status)
                return self._ended(pid, code), code

    def _ended(self, pid: int, code: int) -> _Running:
        done = self._running.pop(pid)
        done.process.returncode = code
        self._free += done.devices
        with open(done.job.log, "a", encoding="utf-8") as log:
            log.write(footer(code, done.started, time.time(), self._request.num_threads))
        return done

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if self._waiting:
            self._waiting = False
            raise _StopError

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._notice = number
        for pid in list(self._running):
            _signal_group(pid, number)


def _signal_group(pid: int, number: int) -> bool:
    """Send a signal to a job's process group; whether the group is still there."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    return True
