"""Commands of asit in processes that kill themselves with SIGKILL at an exact place.

The processes are forked from a server that has torch loaded and one thread, so that a run costs its work and not its
imports. The place is a function of the code that is patched in the child alone: nothing in asit knows of it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import multiprocessing
import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
SLOW = ["torch._dynamo", "PIL.Image", "matplotlib.backends.backend_agg", "matplotlib.figure", "asit.methods.asit"]
CONTEXT.set_forkserver_preload(["killing", *SLOW, "asit.bin.pretrain", "asit.bin.finetune", "asit.bin.evaluate"])
LIMIT = 240  # seconds of one command, on a machine that is busy


@dataclass(frozen=True)
class Kill:
    """SIGKILL at the `count`-th call of `target` ("module:name.name") that names a file like `path`.

    `moment`: "before" the call, "after" it, or "half": ``torch.save`` after half of its bytes. Only calls in a
    loader's worker count when `worker`. With `path`, calls on files that do not exist do not count.
    """

    target: str
    moment: str = "before"
    count: int = 1
    path: str = ""
    worker: bool = False

    def install(self) -> None:
        """Patch the function in this process."""
        module, _, name = self.target.partition(":")
        owner = importlib.import_module(module)
        *outer, last = name.split(".")
        for part in outer:
            owner = getattr(owner, part)
        original, calls = getattr(owner, last), [0]

        @functools.wraps(original)
        def patched(*args, **kwargs):
            now = self._counts(args)
            calls[0] += now
            if not (now and calls[0] == self.count):
                return original(*args, **kwargs)
            if self.moment == "half":
                whole = io.BytesIO()
                original(args[0], whole)
                args[1].write(whole.getvalue()[: whole.tell() // 2])
                args[1].flush()
            elif self.moment == "after":
                original(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, last, patched)

    def _counts(self, args: tuple) -> bool:
        if self.worker:
            from torch.utils.data import get_worker_info

            if get_worker_info() is None:
                return False
        if not self.path:
            return True
        names = [str(a) for a in args if isinstance(a, (str, os.PathLike))]
        return bool(names) and re.search(self.path, names[-1]) is not None and os.path.exists(names[0])


def _child(home: str, errors: str, command: str, words: list[str], kill: Kill | None) -> None:
    os.setpgid(0, 0)
    stream = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    os.chdir(home)
    # The kernel outlives the process: what fsync adds, against power cuts, no kill can show, and it is slow.
    os.fsync = lambda descriptor: None
    sys.argv = [f"asit-{command}", *words]
    main = importlib.import_module(f"asit.bin.{command}").main
    if kill:
        kill.install()
    sys.exit(main())


class Command:
    """One command, running in `home`."""

    def __init__(self, home: Path, command: str, words: list[str], kill: Kill | None = None) -> None:
        self.errors = home / "stderr"
        self.process = CONTEXT.Process(target=_child, args=(str(home), str(self.errors), command, words, kill))
        self.process.start()

    def wait(self, limit: float = LIMIT) -> tuple[int, str]:
        """Exit code (minus the signal's number where one ended it) and what was said."""
        self.process.join(limit)
        if self.process.is_alive():
            self.kill_group()
            raise AssertionError(f"still running after {limit} s")
        return self.process.exitcode, self.errors.read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL to the process alone."""
        self.process.kill()
        self.process.join()

    def kill_group(self) -> None:
        """SIGKILL to the process and to all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()


def children(pid: int) -> list[int]:
    """Processes that a process started and that live."""
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
