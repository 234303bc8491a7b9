"""The annotated utterances of a data directory: ``events``, and for every time step the classes that are heard.

N time steps of an utterance, K classes. Step s stands for the frames from s x stride to (s + 1) x stride.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asit.data.utterances import LeaveOutSettings, Utterances
from asit.features.stats import Stats
from asit.kaldi.data_dir import DataDir
from asit.kaldi.events import NAME, Event, read_events

LAST_FRAME = 0.05  # seconds that a recording may go on after its last whole frame


class Annotations(Utterances):
    """Features and events of the utterances in ``events``.

    Attributes:
        labels: class -> index. events: of ``utts``, in the file's order. The others are those of :class:`Utterances`.

    Raises:
        AsitError: no ``events``, a line that is none, a class that ``labels`` does not have; as :class:`Utterances`.
    """

    table = NAME
    nothing = "no line; add its events, or 'utt -' where nothing happens"

    def __init__(self, path: str, stats: Stats, labels: Sequence[str], max_missing: float = 0.05) -> None:
        self.labels = {label: i for i, label in enumerate(labels)}
        found = read_events(DataDir(path).file(NAME), self.labels)
        super().__init__(path, stats, found, max_missing)
        self.events = [found[utt] for utt in self.utts]

    def for_training(self, stride: int, frame_shift: float, settings: LeaveOutSettings) -> Annotations:
        """Keep the utterances that can be learned from; ``left_out`` has the others.

        Args:
            stride: frames between two time steps of the network. frame_shift: seconds between two frames.

        Raises:
            AsitError: more of them than ``max_left_out``; names the first one and what to do.
        """

        def problem(i: int) -> str | None:
            end = float(self.lengths[i]) * frame_shift
            late = (event for event in self.events[i] if event.start > end + LAST_FRAME)
            return next(
                (f"an event starts at {event.start:g} s, its frames end at {end:.2f} s" for event in late), None
            )

        remedy = "correct the times, cut long recordings (segments), raise --max-frames"
        self.events = [self.events[i] for i in self._keep(problem, settings, remedy)]
        self._stride, self._frame_shift = stride, frame_shift
        return self

    def target(self, i: int) -> np.ndarray:
        """Bool (N, K), see :func:`active`."""
        steps = -(-int(self.lengths[i]) // self._stride)
        return active(self.events[i], self.labels, steps, self._stride * self._frame_shift)

    def lines(self) -> list[Sequence[Event]]:
        """See :class:`Utterances`."""
        return [sorted(events) for events in self.events]


def active(events: Sequence[Event], labels: dict[str, int], steps: int, seconds: float) -> np.ndarray:
    """Bool (N, K): which classes are heard in each of ``steps`` steps of ``seconds``, those whose middle is within an
    event; at least one step an event, however short it is.

    >>> active([Event(0.1, 0.3, "a"), Event(0.31, 0.32, "b")], {"a": 0, "b": 1}, 4, 0.1).T.tolist()
    [[False, True, True, False], [False, False, False, True]]
    """
    found = np.zeros((steps, len(labels)), dtype=bool)
    for start, end, label in events:
        first = min(round(start / seconds), int((start + end) / 2 / seconds), steps - 1)
        found[first : max(first + 1, round(end / seconds)), labels[label]] = True
    return found
