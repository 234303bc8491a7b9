"""The job command contract that all back ends share: Kaldi's ``run.pl`` / ``queue.pl`` command line.

    COMMAND [options] [JOB=1:nj] [options] log/x.JOB.log command args...

A back end parses its command line with :func:`parse`, chooses the indices with :meth:`Request.picked`, runs
``Request.job(i)`` for each so that the log gets :func:`header` and :func:`footer`, and ends with
:func:`asit.launch.failures.report`.

Arguments reach the command exactly as given, whatever characters they hold. Shell operators are honoured where Kaldi's
scripts use them, that is as words of their own (:data:`OPERATORS`): the other words are then quoted for bash. This
differs from ``run.pl``, which lets bash interpret every word without white space and expand ``$`` inside the others.

Standard library only: a command that starts a job must start at once.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from asit.errors import AsitError

OPERATORS = frozenset(
    {"|", "|&", "||", "&&", ";", "<", ">", ">>", "2>", "2>>", "&>", ">&", "2>&1", ">&2", "1>&2", "2>/dev/null"}
)
"""Words that are shell syntax when they stand alone."""

DRY_RUN = 86
"""Exit code of ``--dry-run``: the jobs were shown and nothing ran, so run.sh records no stage as done."""
MOST_JOBS = 100_000
"""Largest index of a range; schedulers allow fewer."""

_RANGE = re.compile(r"([A-Za-z_]\w*)=([0-9]+)(?::([0-9]+))?", re.ASCII)
_ALIASES = {"-tc": "--max-jobs-run", "--ngpu": "--gpu"}
_PICKS = ("all", "failed", "incomplete", "none")
_ENDED = re.compile(r"^# (?:Ended \(code (\d+)(?:; signal \d+)?\)|Finished at .* with status (\d+))", re.MULTILINE)


@dataclass(frozen=True)
class Job:
    """One index of a request: its log file and its command."""

    index: int
    log: str
    argv: tuple[str, ...]

    def command(self) -> list[str]:
        """What to execute: the words themselves, or bash where some of them are shell operators."""
        if OPERATORS.isdisjoint(self.argv):
            return list(self.argv)
        return ["bash", "-c", f"set -o pipefail; {self.line()}"]

    def line(self) -> str:
        """The command as a line that can be pasted into a shell."""
        return " ".join(word if word in OPERATORS else shlex.quote(word) for word in self.argv)


@dataclass(frozen=True)
class Request:
    """A parsed command line.

    ``options`` holds every option that has a value by its long name without dashes (``mem``, ``num-threads``, ``gpu``,
    ``time``, ``config``, a site's own), last one wins; ``given`` all option words as they came, for the rerun line;
    ``native`` the words with one dash, which are the scheduler's own.
    """

    log: str
    argv: tuple[str, ...]
    name: str | None = None
    first: int = 1
    last: int = 1
    options: dict[str, str] = field(default_factory=dict)
    given: tuple[str, ...] = ()
    native: tuple[str, ...] = ()

    @property
    def indices(self) -> range:
        """All indices of the range."""
        return range(self.first, self.last + 1)

    @property
    def num_threads(self) -> int:
        """``--num-threads``, 1 by default."""
        return self._number("num-threads", 1, least=1)

    @property
    def gpus(self) -> int | None:
        """``--gpu``: GPUs of each job; None when not given."""
        return self._number("gpu", 0, least=0) if "gpu" in self.options else None

    @property
    def max_jobs_run(self) -> int | None:
        """``--max-jobs-run``: jobs at a time; None when not given."""
        return self._number("max-jobs-run", 1, least=1) if "max-jobs-run" in self.options else None

    @property
    def retries(self) -> int:
        """``--retries``: how often a failed index is started again."""
        return self._number("retries", 0, least=0)

    @property
    def num_nodes(self) -> int | None:
        """``--num-nodes``: machines that one training runs on; None when not given."""
        return self._number("num-nodes", 1, least=1) if "num-nodes" in self.options else None

    @property
    def signal_before(self) -> int | None:
        """``--signal-before``: seconds before the time limit at which a job is told to save; None when not given."""
        return self._number("signal-before", 1, least=1) if "signal-before" in self.options else None

    @property
    def dry_run(self) -> bool:
        """``--dry-run``: only show what would be done."""
        return self.options.get("dry-run") == "true"

    def job(self, index: int) -> Job:
        """The job of one index: the identifier is replaced in the log's name and in every word of the command."""
        if self.name is None:
            return Job(index, self.log, self.argv)
        put = str(index)
        return Job(index, self.log.replace(self.name, put), tuple(w.replace(self.name, put) for w in self.argv))

    def picked(self) -> tuple[list[int], list[int]]:
        """(indices to run, indices that failed before and are left alone) after ``--pick``.

        ``all`` runs every index; ``failed`` those whose log does not end with success; ``incomplete`` those whose log
        does not tell how they ended; ``none`` the same, as in ``run.pl``.
        """
        pick = self.options.get("pick", "all")
        run: list[int] = []
        failed: list[int] = []
        for index in self.indices:
            code = None if pick == "all" else last_code(self.job(index).log)
            if code is None or (code != 0 and pick == "failed"):
                run.append(index)
            elif code != 0:
                failed.append(index)
        return run, failed

    def _number(self, name: str, default: int, least: int) -> int:
        value = self.options.get(name, str(default))
        if not re.fullmatch("[0-9]{1,9}", value) or int(value) < least:
            raise AsitError(f"--{name}: expected a whole number of at least {least}, found '{value[:40]}'")
        return int(value)


def parse(argv: Sequence[str]) -> Request:
    """Read a command line of the contract (without the program's name).

    Options precede the log file, before or after the range, and are written ``--name value``, ``--name=value`` or in
    Grid Engine's short form (``-l``, ``-q``, ``-tc``, ``-pe a b``, ``-sync y``, ``-V``).

    >>> request = parse(["--mem", "4G", "JOB=1:2", "log/x.JOB.log", "echo", "part.JOB"])
    >>> request.job(2)
    Job(index=2, log='log/x.2.log', argv=('echo', 'part.2'))

    Raises:
        AsitError: no command, a bad range or number, a range whose identifier is not in the log's name.
    """
    words = list(argv)
    options: dict[str, str] = {}
    given: list[str] = []
    native: list[str] = []
    name, first, last = None, 1, 1
    while words:
        match = _RANGE.fullmatch(words[0])
        if match and name is None:
            name = match[1]
            if max(len(match[2]), len(match[3] or "")) > 9:  # before int, which refuses thousands of digits
                raise AsitError(f"{name}=first:last: expected numbers of at most {MOST_JOBS}, found {words[0][:40]}")
            first, last = int(match[2]), int(match[3] or match[2])
            if not 1 <= first <= last <= MOST_JOBS:
                raise AsitError(f"{words[0]}: expected {name}=first:last with 1 <= first <= last <= {MOST_JOBS}")
            words = words[1:]
        elif words[0].startswith("-"):
            count = _take_option(words, options)
            given += words[:count]
            if not words[0].startswith("--") and words[0] not in ("-tc", "-sync"):  # all back ends wait, as -sync y
                native += words[:count]
            words = words[count:]
        else:
            break
    if len(words) < 2:
        raise AsitError("expected [options] [JOB=1:nj] LOG-FILE COMMAND [ARGUMENT...], found no " + _absent(words))
    if name is None and re.fullmatch(r".+=.*:.*", words[0]):
        raise AsitError(f"{words[0]}: expected a log file or a range such as JOB=1:4")
    if last > first and name is not None and name not in words[0]:
        raise AsitError(f"{name}={first}:{last}: all jobs would write to one log, {words[0]}; put {name} in its name")
    request = Request(words[0], tuple(words[1:]), name, first, last, options, tuple(given), tuple(native))
    _check(request)
    return request


def last_code(log: str) -> int | None:
    """Exit code that a log's last run ended with; None when there is no log or the run did not end."""
    try:
        with open(log, encoding="utf-8", errors="replace") as stream:
            codes = _ENDED.findall(stream.read())
    except OSError:
        return None
    return int(codes[-1][0] or codes[-1][1]) if codes else None


def header(job: Job, started: float) -> str:
    """First lines of a log; ``started`` in seconds since the epoch."""
    command = job.line().replace("\n", "\n# ")
    return f"# {command}\n# Running on {socket.gethostname()}\n# Started at {_date(started)}\n#\n"


def footer(code: int, started: float, ended: float, threads: int) -> str:
    """Last lines of a log. ``code`` as subprocess gives it: negative for a signal."""
    seconds = int(ended) - int(started)
    how = f"code {code}" if code >= 0 else f"code {128 - code}; signal {-code}"
    return (
        f"# Accounting: time={seconds} threads={threads}\n"
        f"# Ended ({how}) at {_date(ended)}, elapsed time {seconds} seconds\n"
    )


def make_log_folder(log: str) -> None:
    """Create the folder of a log file.

    Raises:
        AsitError: it cannot be made or written to.
    """
    folder = os.path.dirname(log) or "."
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise AsitError(f"{log}: cannot make the folder of the log: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise AsitError(f"{log}: cannot write to the folder of the log; change its owner or name another log")


# --- internals -------------------------------------------------------------------------------------


def _take_option(words: list[str], options: dict[str, str]) -> int:
    """Note the option at the head of ``words``; how many words it takes."""
    switch, equals, value = words[0].partition("=")
    if switch == "-V":
        return 1
    if switch == "--":
        raise AsitError("--: expected an option's name, such as --mem")
    if switch in ("--dry-run", "--dry_run"):  # the one flag
        options["dry-run"] = value if equals else "true"
        if not equals and words[1:2] in (["true"], ["false"]):
            options["dry-run"] = words[1]
            return 2
        return 1
    count = 1 if equals else 3 if switch == "-pe" else 2
    if len(words) < count:
        raise AsitError(f"{words[0]}: a value is missing")
    if switch.startswith("--"):
        switch = switch.replace("_", "-")  # Kaldi takes both
    key = _ALIASES.get(switch, switch).lstrip("-")
    value = value if equals else " ".join(words[1:count])
    if key == "max-jobs-run" and re.fullmatch("[0-9]{1,9} [0-9]{1,9}", f"{options.get(key)} {value}"):
        value = str(min(int(options[key]), int(value)))  # the strictest wins, as in run.pl
    options[key] = value
    return count


def _absent(words: list[str]) -> str:
    return "log file" if not words else f"command after '{words[0]}'"


def _check(request: Request) -> None:
    """Read every number once, so that a bad one is told before anything runs."""
    _ = request.num_threads, request.gpus, request.max_jobs_run, request.retries
    _ = request.num_nodes, request.signal_before
    if request.options.get("dry-run", "true") not in ("true", "false"):
        raise AsitError(f"--dry-run: expected true or false, found '{request.options['dry-run']}'")
    pick = request.options.get("pick", "all")
    if pick not in _PICKS:
        raise AsitError(f"--pick: expected one of {', '.join(_PICKS)}, found '{pick}'")


def _date(seconds: float) -> str:
    return time.strftime("%a %b %e %H:%M:%S %Z %Y", time.localtime(seconds))
