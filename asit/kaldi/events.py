"""``events`` of a data directory: what happens in each utterance from when to when, an event on a line.

``utt start end label``, in seconds from the utterance's beginning; ``utt -`` where nothing happens. Sorted by utterance
as every table; the only one in which an utterance may have several lines, which are one value in memory, line by line.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from asit.errors import AsitError, excerpt, nearest
from asit.kaldi.column_values import MOST_SECONDS, NO_LABEL, label_problem, parse_number
from asit.kaldi.table import cut, read_table, read_text, write_table

NAME = "events"
SHORTEST = 0.001  # seconds: times are written to this
MOST_BEYOND = 1.0  # seconds that an event may end after its utterance: times that were rounded up


class Event(NamedTuple):
    """A stretch in which something of one class is heard, in seconds."""

    start: float
    end: float
    label: str


def parse_event(line: str) -> Event | None:
    """``start end label``; None for ``-``. Raises ValueError with the reason."""
    words = line.split()
    if words == [NO_LABEL]:
        return None
    if len(words) != 3:
        raise ValueError(f"expected 'start end label', or '{NO_LABEL}' for no event, found '{excerpt(line)}'")
    return checked_event(words[0], words[1], words[2])


def checked_event(start: str, end: str, label: str) -> Event:
    """An event of three texts. Raises ValueError with the reason."""
    event = Event(parse_number(start), parse_number(end), label)
    if not 0 <= event.start < event.end <= MOST_SECONDS:
        raise ValueError(f"expected 0 <= start < end in seconds, found {excerpt(start)} and {excerpt(end)}")
    problem = label_problem(label)
    if problem:
        raise ValueError(problem)
    return event


def read_events(path: str | os.PathLike[str], labels: Collection[str]) -> dict[str, tuple[Event, ...]]:
    """Utterance -> its events, in the file's order.

    Args:
        labels: classes that there are.

    Raises:
        AsitError: the first problem with its line, as :func:`problems` or :func:`asit.kaldi.table.read_table` have it.
    """
    path = os.fspath(path)
    table = read_table(path)
    problem = next(problems(path, labels), None)
    if problem:
        raise AsitError(problem)
    parsed = {utt: map(parse_event, value.split("\n")) for utt, value in table.items()}
    return {utt: tuple(event for event in events if event) for utt, events in parsed.items()}


def write_events(path: str | os.PathLike[str], events: Mapping[str, Sequence[Event]]) -> None:
    """Write the file, the events of an utterance in the order of their times.

    Raises:
        AsitError: as :func:`asit.kaldi.table.write_table`.
    """
    write_table(path, {utt: format_events(some) for utt, some in events.items()})


def format_events(events: Sequence[Event]) -> str:
    """The value of an utterance, a line for each event.

    >>> format_events([Event(0.5, 1.25, "dog"), Event(0.0, 0.5, "cat")]), format_events([])
    ('0.000 0.500 cat\\n0.500 1.250 dog', '-')
    >>> format_events([Event(0.0101, 0.0104, "click")])  # no event is shorter than what is written
    '0.010 0.011 click'
    """
    lines = (f"{start:.3f} {max(end, round(start, 3) + SHORTEST):.3f} {label}" for start, end, label in sorted(events))
    return "\n".join(dict.fromkeys(lines)) or NO_LABEL  # those that differ by less are one


def problems(path: str, labels: Collection[str], seconds: Mapping[str, float] | None = None) -> Iterator[str]:
    """What is wrong with the lines, as ``file:line: 'utt': what; remedy``; what is wrong with every table is left to
    :func:`asit.kaldi.table.examine`.

    Args:
        labels: classes that there are; empty: not known. seconds: how long an utterance is, as far as that is known.
    """
    nothing: dict[str, int] = {}  # number of its line "utt -"
    first: dict[tuple[str, Event | None], int] = {}  # number of its line
    for number, line in enumerate(read_text(path).replace("\r", "").split("\n"), 1):
        utt, value = cut(line)
        if not utt or not value:
            continue
        where = f"{path}:{number}: '{excerpt(utt)}'"
        try:
            event = parse_event(value)
        except ValueError as error:
            yield f"{where}: {error}"
            continue
        earlier = first.setdefault((utt, event), number)
        if earlier != number:
            yield f"{where}: '{excerpt(value)}' is there already, on line {earlier}; remove one"
        elif event is None:
            nothing[utt] = number
        elif labels and event.label not in labels:
            yield f"{where}: label '{excerpt(event.label)}' is not in labels.txt: {nearest(event.label, labels)}"
        elif seconds and event.start >= seconds.get(utt, event.end):
            yield f"{where}: starts at {event.start:g} s, the utterance ends at {seconds[utt]:.3f} s; correct the times"
        elif seconds and event.end > seconds.get(utt, event.end) + MOST_BEYOND:
            yield f"{where}: ends at {event.end:g} s, the utterance ends at {seconds[utt]:.3f} s; correct the times"
    busy = {utt for utt, event in first if event}
    for utt, number in nothing.items():
        if utt in busy:
            yield (
                f"{path}:{number}: '{excerpt(utt)}': says that nothing happens, and other lines have its events; "
                "remove this line, or them"
            )
