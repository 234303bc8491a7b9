"""Follow running jobs by their logs: progress, warnings, ends.

Whatever runs the jobs, this machine or a cluster, each writes a log that ends with Kaldi's footer. A training's log has
lines ``... step 200/12000 epoch 0 loss 4.89 ... | 151.4 clips/s, waiting 2 %, 0:36:43 left``.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

_STEP = re.compile(r" step (\d+)/(\d+) .*?\bloss ([^ ]+).*\| ([\d.]+) clips/s.*?, ([\d:]+) left")
_WARNING = re.compile(r"^(?:\S+ WARNING |warning: )(.*)")
_END = re.compile(r"^# (?:Ended \(code (\d+)\)|Finished at .* with status (\d+))")
_LONGEST = 2**16  # bytes of a line that are looked at; a log may hold a progress bar of megabytes without a line break
LINE_SECONDS = 60.0  # between two lines about a job where there is no terminal
BAR = "{desc} {n_fmt}/{total_fmt} {percentage:3.0f}%|{bar:20}| {postfix}"


@dataclass
class JobLog:
    """What a job's log has said so far."""

    path: Path
    offset: int = 0
    step: int = 0
    total: int = 0
    text: str = ""  # loss, speed and time left
    code: int | None = None  # exit code, once it has ended
    warnings: list[str] = field(default_factory=list)  # since the last look
    _rest: bytes = b""

    @property
    def name(self) -> str:
        """``pretrain.1``."""
        return self.path.name.removesuffix(".log")

    def read(self) -> bool:
        """Take in what is new; whether anything was. A log that has become shorter was begun again."""
        try:
            size = self.path.stat().st_size
            if size < self.offset:
                self.__init__(self.path)  # type: ignore[misc]
            if size == self.offset:
                return False
            with open(self.path, "rb") as stream:
                stream.seek(self.offset)
                data = self._rest + stream.read(size - self.offset)
        except OSError:  # not there yet, or a network file system that is not quite in step
            return False
        self.offset = size
        *lines, rest = data.split(b"\n")
        self._rest = rest[-_LONGEST:]
        for line in lines:
            self._take(line[:_LONGEST].decode("utf-8", "replace"))
        return True

    def _take(self, line: str) -> None:
        if found := _STEP.search(line):
            self.step, self.total = int(found[1]), int(found[2])
            self.text = f"loss {found[3]}, {found[4]} clips/s, {found[5]} left"
        elif found := _WARNING.match(line):
            self.warnings.append(found[1])
        elif found := _END.match(line):
            self.code = int(found[1] or found[2])


class Watcher:
    """Tells a person about the jobs whose logs ``find`` lists: bars on a terminal, else a line a minute and job.

    ``since``: time (``time.time()``) before which a log that has not changed belongs to an earlier run.
    """

    def __init__(self, find: Callable[[], Iterable[Path]], since: float = 0.0, out: TextIO | None = None) -> None:
        self._find, self._since, self._out = find, since, out or sys.stderr
        self._jobs: dict[Path, JobLog] = {}
        self._bars: dict[Path, tqdm] = {}
        self._told: dict[Path, float] = {}
        self._terminal = self._out.isatty()

    def look(self) -> list[JobLog]:
        """Read what is new and show it; the jobs that are running."""
        for path in sorted(self._find()):
            if path not in self._jobs and _changed(path) >= self._since:
                self._jobs[path] = JobLog(path)
        for job in self._jobs.values():
            new = job.read()
            for warning in job.warnings:
                tqdm.write(f"{job.name}: WARNING {warning}", file=self._out)
            job.warnings.clear()
            self._show(job, new)
        return [job for job in self._jobs.values() if job.code is None]

    def close(self) -> None:
        """Take the bars away."""
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()

    def _show(self, job: JobLog, new: bool) -> None:
        if self._terminal:
            self._draw(job)
        elif new and job.total and (job.code is not None or time.monotonic() >= self._told.get(job.path, 0.0)):
            self._told[job.path] = time.monotonic() + LINE_SECONDS
            end = "" if job.code is None else f"; ended with code {job.code}"
            print(f"{job.name}: step {job.step}/{job.total}, {job.text}{end}", file=self._out, flush=True)

    def _draw(self, job: JobLog) -> None:
        bar = self._bars.get(job.path)
        if job.code is not None:
            if bar is not None:
                bar.close()
                del self._bars[job.path]
            return
        if bar is None and job.total:
            bar = tqdm(total=job.total, desc=job.name, file=self._out, leave=False, bar_format=BAR, dynamic_ncols=True)
            self._bars[job.path] = bar
        if bar is not None:
            bar.n = job.step
            bar.set_postfix_str(job.text)


def follow(watcher: Watcher, pid: int = 0, every: float = 1.0) -> bool:
    """Look every few seconds until process ``pid`` has ended, and once after; 0: as long as a job is running.

    Returns whether any job was running.
    """
    found = False
    try:
        while True:
            last = pid and not alive(pid)
            running = watcher.look()
            found |= bool(running)
            if last or not (pid or running):
                return found
            time.sleep(every)
    finally:
        watcher.close()


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended; one that nobody has waited for yet has ended."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    except (OSError, IndexError):
        return True
    return state not in "ZX"


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return -1.0
