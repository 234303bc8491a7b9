"""What a scheduler's back end provides to :mod:`asit.launch.cluster`."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from asit.errors import AsitError
from asit.launch.batch_script import Dialect
from asit.launch.contract import Request
from asit.launch.site import Site

SINGLE = 0
"""Task number of a job that is not an array."""


@dataclass(frozen=True)
class Submission:
    """``words`` of the submitting command, without array, output and script; what its script needs besides:
    ``wrap``, words before the command, and lines of bash ``before`` that and ``after`` it (which see and may change
    ``$asit_code``)."""

    words: tuple[str, ...]
    wrap: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskState:
    """What a scheduler says of a task. ``ended``: it will not run (again). ``why``: a sentence for a person, where
    the state itself is a failure; then no result of the task needs to be waited for."""

    name: str
    ended: bool = False
    why: str = ""


class Scheduler(Protocol):
    """One scheduler."""

    title: str  # for messages
    config: str  # usual file of the description of submissions
    default: str  # the description when there is no such file
    handled: frozenset[str]  # options that the back end itself takes care of
    dialect: Dialect
    any_indices: bool  # whether an array may be any list of indices, or only a range

    def submission(self, request: Request, site: Site, conf_words: Sequence[str]) -> Submission:
        """How to submit a request; ``conf_words`` come from the description of submissions."""

    def spell(self, name: str, value: str) -> str:
        """An option's value as this scheduler writes it."""

    def array(self, indices: Sequence[int], most: int | None) -> list[str]:
        """Words that make a submission an array of these indices, ``most`` of them at a time."""

    def output(self, path: str, is_array: bool) -> list[str]:
        """Words that send what the scheduler itself says about a task to ``path`` or, for arrays, a file beside it."""

    def job_id(self, printed: str) -> str:
        """The job's id from what the submitting command printed; empty when it is not there."""

    def states(self, job_id: str) -> dict[int, TaskState] | None:
        """States of a job's tasks by task number; those it has forgotten are missing. None: it did not answer."""

    def last_words(self, job_id: str, task: int) -> str:
        """How a task that is gone from the queue ended, from the records; empty when nothing is known."""

    def cancel(self, job_id: str) -> list[str]:
        """The command that removes a job."""


def require(command: str, title: str) -> None:
    """Check that a scheduler's command is there.

    Raises:
        AsitError: it is not.
    """
    if shutil.which(command) is None:
        raise AsitError(
            f"{command}: command not found: {title} is not installed here or not on PATH; run this on a machine that "
            "submits jobs (perhaps after `module load`), or name another back end in cmd.sh, such as asit-run-local"
        )


def ask(*words: str) -> tuple[int, str, str]:
    """Run a scheduler's command; (exit code, output, errors). A minute without an answer is code 124."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return 124, "", f"{shlex.join(words)}: no answer within a minute"
    except OSError as error:
        return 127, "", f"{words[0]}: {error.strerror}"
    return done.returncode, done.stdout, done.stderr


def seconds(text: str) -> int | None:
    """A time limit in seconds: ``3600``, ``1:00:00``, ``1-12:00:00`` (days); None when it is none of these.

    >>> seconds("1-01:00:10"), seconds("10:00"), seconds("90"), seconds("soon")
    (90010, 600, 90, None)
    """
    match = re.fullmatch(r"(?:(\d+)-)?((?:\d+:){0,2}\d+)", text.strip())
    if not match:
        return None
    total = 0
    for part in match[2].split(":"):
        total = total * 60 + int(part)
    return total + 86400 * int(match[1] or 0)
