"""What a person needs after jobs have failed: which, why in all likelihood, and the line that runs them again."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence

from asit.launch.contract import Request, last_code

PREEMPTED = 85
"""Exit code of a training that was asked to stop and has saved its state."""

_CAUSES = (
    (r"out of memory|OutOfMemoryError", "the GPU's memory is full: smaller batches, or more accumulation"),
    (
        r"MemoryError|Cannot allocate memory|oom-kill|Out Of Memory",
        "out of memory: ask for more with --mem, or fewer jobs",
    ),
    (r"No space left on device|Disk quota exceeded", "the disk is full"),
    (r"DUE TO TIME LIMIT|CPU time limit exceeded", "the time limit was reached: ask for more with --time"),
    (r"Too many open files", "too many open files: raise `ulimit -n`, or use fewer workers"),
    (
        r"command not found|No such file or directory: '[^'/]+'|cannot start",
        "a command is missing: has path.sh been sourced?",
    ),
    (r"ModuleNotFoundError", "a Python package is missing: is this the environment of tools/install.sh?"),
    (r"CUDA error|NCCL error|no CUDA-capable device|NVIDIA driver", "the GPU could not be used: see nvidia-smi"),
    (r"Permission denied", "a file may not be read or written"),
    (r"No such file or directory|FileNotFoundError", "a file is missing"),
)
_TAIL_BYTES = 65536
_SHOWN = 3


def report(program: str, request: Request, failed: Sequence[int]) -> str:
    """The message after failures: Kaldi's line, then indices, last error, likely cause and rerun line.

    Args:
        program: the back end's name, as typed.
        request: what was run.
        failed: indices that failed, at least one.
    """
    total = len(request.indices)
    if total == 1:
        lines = [f"{program}: job failed, log is in {request.job(request.first).log}"]
    else:
        pattern = request.log.replace(request.name or "", "*")
        lines = [f"{program}: {len(failed)} / {total} failed, log is in {pattern}"]
        lines.append(f"  failed: {request.name}={compact(failed)}")
    for index in failed[:_SHOWN]:
        log = request.job(index).log
        error, cause = _digest(log)
        mark = f"  {request.name}={index}: " if request.name and total > 1 else "  "
        lines.append(f"{mark}{error}")
        if cause:
            lines.append(f"{' ' * len(mark)}likely cause: {cause}")
    if len(failed) > _SHOWN:
        lines.append(f"  and {len(failed) - _SHOWN} more")
    lines.append(f"  again: {rerun_line(program, request, failed)}")
    return "\n".join(lines)


def rerun_line(program: str, request: Request, failed: Sequence[int]) -> str:
    """A line that can be pasted into a shell to run the failed indices again."""
    options, ranged = list(request.given), []
    if request.name is not None and len(failed) == 1:
        ranged = [f"{request.name}={failed[0]}"]
    elif request.name is not None:
        ranged = [f"{request.name}={request.first}:{request.last}"]
        if len(failed) < len(request.indices):
            options += ["--pick", "failed"]
    return shlex.join([program, *options, *ranged, request.log, *request.argv])


def compact(indices: Sequence[int], dash: str = ":") -> str:
    """Runs of indices in short.

    >>> compact([1, 2, 3, 7])
    '1:3,7'
    """
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ",".join(str(a) if a == b else f"{a}{dash}{b}" for a, b in runs)


def _digest(log: str) -> tuple[str, str | None]:
    """(last error line of a log, likely cause)."""
    try:
        with open(log, "rb") as stream:
            stream.seek(max(0, os.path.getsize(log) - _TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError as error:
        return f"no log: {error.strerror}", None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    errors = [line for line in lines if re.match(r"(\w+\.)*\w*(Error|Exception|Interrupt)\b|.*\berror: ", line)]
    code = last_code(log)
    last = (errors or lines or [f"exit code {code} without a word" if code is not None else "no output"])[-1]
    return last[:300], _cause("\n".join(lines[-200:]), code)


def _cause(text: str, code: int | None) -> str | None:
    if code is None:
        return "it did not end: the machine or the job was killed"
    if code == PREEMPTED:
        return "it was asked to stop and has saved its state: start it again to continue"
    for pattern, cause in _CAUSES:
        if re.search(pattern, text):
            return cause
    signals = {
        134: "it aborted",
        137: "it was killed (signal 9), most often for want of memory",
        139: "it crashed (segfault)",
    }
    return signals.get(code) or (f"it was ended by signal {code - 128}" if 128 < code < 160 else None)
