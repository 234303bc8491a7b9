"""Processes that a test starts and ends by their ids, with all their descendants."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def free_ports(count: int) -> list[int]:
    """Loopback ports that are free at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


def missing(commands: Sequence[str]) -> list[str]:
    """Those commands that are not installed."""
    return [c for c in commands if shutil.which(c, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]


def wait_until(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Poll until a condition holds."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.1)


def parents() -> dict[int, int]:
    """The parent of each process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    above = parents()
    found = [pid]
    for one in found:
        found += [child for child, parent in above.items() if parent == one]
    return found[1:]


def with_variable(name: str, value: str) -> list[int]:
    """Processes that have been started with a variable: what daemons have started and left behind."""
    wanted = f"{name}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def kill(pids: Sequence[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to processes, some of which may be gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Daemons:
    """Daemons of one test run; :meth:`stop` leaves none behind."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, {**environment, "ASIT_TEST_CLUSTER": str(folder)}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *words: object, **environment: str) -> None:
        """Start a daemon that stays in the foreground."""
        with open(self.folder / f"{name}.stderr", "ab") as stderr:
            self.running[name] = subprocess.Popen(
                [str(w) for w in words],
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )

    def check(self) -> None:
        """Fail when a daemon has ended."""
        for name, process in self.running.items():
            log = (self.folder / f"{name}.stderr").read_text(errors="replace")[-2000:]
            assert process.poll() is None, f"{name} ended with {process.returncode}: {log}"

    def end(self, name: str, number: int = signal.SIGKILL) -> None:
        """End one daemon."""
        process = self.running.pop(name)
        process.send_signal(number)
        process.wait(timeout=30)

    def stop(self) -> None:
        """End all daemons, last first, and whatever they have started."""
        below = [pid for process in self.running.values() for pid in descendants(process.pid)]
        for name in reversed(list(self.running)):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.running[name].terminate()
                self.running[name].wait(timeout=10)
        kill([*below, *with_variable("ASIT_TEST_CLUSTER", str(self.folder))])
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
            process.wait(timeout=30)
        self.running.clear()
