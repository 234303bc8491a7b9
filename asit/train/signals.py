"""Stopping on request: the step in progress is finished and saved first."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)
PREEMPTED = 85  # exit code of a run that was asked to stop, saved and can be continued by the same command
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


TWICE = 2.0  # seconds within which a second signal is the first one's echo: a job's group and its launcher both send


@contextlib.contextmanager
def leave_at_once() -> Iterator[None]:
    """While nothing has been computed yet, a stop signal ends the process at once, with the code of a saved run."""

    def leave(number: int, _: FrameType | None) -> None:
        print(
            f"stopped by {signal.Signals(number).name} before the first update; run again to continue", file=sys.stderr
        )
        raise SystemExit(PREEMPTED)

    before = {number: signal.signal(number, leave) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopWhileWaitingError(Exception):
    """A stop signal came while the run waited for a batch, between two updates."""


class StopRequest:
    """Within ``with StopRequest() as stop``, a stop signal only sets ``stop.received``.

    Within ``with stop.waiting()`` it raises :class:`StopWhileWaitingError`: a batch may never come. A second SIGTERM,
    later than the first one's echo, has the usual effect, for a run whose step never ends.
    """

    def __init__(self) -> None:
        self.received = ""
        self._at = 0.0
        self._waits = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        for number in STOP_SIGNALS:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def waiting(self, interruptible: bool = True) -> Iterator[None]:
        """Around waiting for a batch; not ``interruptible`` where other processes wait for this one's step."""
        if interruptible and self.received:
            raise StopWhileWaitingError
        self._waits = interruptible
        try:
            yield
        finally:
            self._waits = False

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received and number == signal.SIGTERM and time.monotonic() > self._at + TWICE:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)
        if not self.received:
            self.received, self._at = signal.Signals(number).name, time.monotonic()
        if self._waits:
            self._waits = False
            raise StopWhileWaitingError
