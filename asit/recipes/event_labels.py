"""Events as others write them, to ``events`` of a data directory: a table, or a folder of Audacity's labels.

A table has a header, whose columns may have the names of asit-detect or of DCASE: ``recording`` (``filename``,
``utt``), ``start`` (``onset``), ``end`` (``offset``), ``class`` (``label``, ``event_label``). A row without times and
class is a recording in which nothing happens. Of Audacity, ``<utt>.txt`` has the label track of an utterance: start,
end and label, separated by tabs. Recordings go by the utterance's id, or by a file name that is the id and an ending.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from asit.config import REQUIRED, Options, option
from asit.errors import AsitError, excerpt, nearest
from asit.kaldi.data_dir import DataDir, read_labels, write_labels
from asit.kaldi.events import NAME, Event, checked_event, write_events
from asit.kaldi.table import read_text
from asit.recipes.csv_table import csv_rows
from asit.recipes.labels import Labels

COLUMNS = {
    "recording": ("recording", "filename", "utt"),
    "start": ("start", "onset"),
    "end": ("end", "offset"),
    "class": ("class", "label", "event_label"),
}


@dataclass(frozen=True)
class Settings(Options):
    """Write events and labels.txt of a data directory from a table, or from Audacity's labels."""

    source: str = option(
        REQUIRED,
        "table with the columns recording, start, end, class (DCASE's names are known too), separated by commas, "
        "semicolons or tabs, or a folder with "
        "the label track of each utterance, <utt>.txt, as Audacity exports it",
        positional=True,
    )
    data_dir: str = option(REQUIRED, "data directory whose utterances they are")
    labels: str = option("", "labels.txt with the classes that may occur; empty: all that do")
    others_silent: bool = option(
        False, "in utterances that the source does not name nothing happens; false: refuse them"
    )


class Line(NamedTuple):
    """An event of a source, or, without one, that a recording was listened to."""

    recording: str
    event: Event | None
    where: str


def import_events(settings: Settings) -> dict[str, list[Event]]:
    """Write ``events`` and ``labels.txt``; returns the events of each utterance.

    Raises:
        AsitError: with file and line: a malformed line, an unknown class or recording; utterances that are not named.
    """
    data, source, labels = DataDir(settings.data_dir), Path(settings.source), Labels()
    lines = _label_tracks(source, labels) if source.is_dir() else _table_rows(source, labels)
    known = read_labels(settings.labels) if settings.labels else None
    utts = set(data.utts)
    found: dict[str, list[Event]] = {}
    silent: dict[str, str] = {}  # utterance -> where the source says so
    for recording, event, where in lines:
        utt = _utterance(recording, utts)
        if utt is None:
            raise AsitError(
                f"{where}: recording '{excerpt(recording)}' is no utterance of {data.file('utt2spk')}: "
                f"{nearest(Path(recording).stem, utts)}"
            )
        of = found.setdefault(utt, [])
        if event is None:
            silent[utt] = where
            continue
        if event in of:
            raise AsitError(
                f"{where}: {event.label} from {event.start:g} to {event.end:g} is there already; remove one"
            )
        if known is not None and event.label not in known:
            raise AsitError(
                f"{where}: class '{excerpt(event.label)}' is not in {settings.labels}: {nearest(event.label, known)}"
            )
        of.append(event)
    for utt, where in silent.items():
        if found[utt]:
            raise AsitError(f"{where}: says that nothing happens in '{utt}', and others have its events; remove one")
    unnamed = [utt for utt in data.utts if utt not in found]
    if unnamed and not settings.others_silent:
        raise AsitError(
            f"{source}: utterance '{unnamed[0]}' of {data.path} is not in it ({len(unnamed)} of {len(data.utts)}); add "
            "it, or say that nothing happens in them: --others-silent true"
        )
    classes = list(known) if known is not None else sorted({event.label for of in found.values() for event in of})
    if not classes:
        raise AsitError(f"{source}: expected at least one event, found none")
    _fit_other_labels(data, classes)
    found |= {utt: [] for utt in unnamed}
    write_labels(data.file("labels.txt"), classes)
    write_events(data.file(NAME), found)
    return found


def _fit_other_labels(data: DataDir, classes: Sequence[str]) -> None:
    """labels.txt is that of utt2label too, where there is one.

    Raises:
        AsitError: classes without a label of utt2label.
    """
    lost = {label for labels in (data.utt2label.values() if data.has("utt2label") else ()) for label in labels}
    lost -= set(classes)
    if lost:
        raise AsitError(
            f"{data.file('labels.txt')}: utt2label needs its label '{excerpt(min(lost))}' ({len(lost)} in all), and no "
            "event has it; give --labels a labels.txt with the labels and the classes of the events, or remove "
            f"{data.file('utt2label')}"
        )


def _utterance(recording: str, utts: set[str]) -> str | None:
    return next((name for name in (recording, Path(recording).name, Path(recording).stem) if name in utts), None)


def _event(start: str, end: str, label: str, labels: Labels, where: str) -> Event:
    try:
        return checked_event(start, end, labels.add(label, where))
    except ValueError as error:
        raise AsitError(f"{where}: {error}") from None


def _table_rows(path: Path, labels: Labels) -> Iterator[Line]:
    if not path.is_file():
        raise AsitError(f"{path}: no such file or folder")
    rows = csv_rows(path)
    head = [name.strip().lower() for name in next(rows, (1, []))[1]]
    place = _places(head, f"{path}:1")
    for number, row in rows:
        where = f"{path}:{number}"
        if len(row) != len(head):
            raise AsitError(f"{where}: expected {len(head)} fields as in the header, found {len(row)}")
        recording, start, end, label = (row[place[name]].strip() for name in COLUMNS)
        nothing = not (start or end or label)
        yield Line(recording, None if nothing else _event(start, end, label, labels, where), where)


def _places(head: Sequence[str], where: str) -> Mapping[str, int]:
    found = {}
    for column, names in COLUMNS.items():
        here = [i for i, name in enumerate(head) if name in names]
        if len(here) != 1:
            raise AsitError(
                f"{where}: expected one column '{column}' (or {', '.join(names[1:])}), found "
                f"{', '.join(head) or 'none'}"
            )
        found[column] = here[0]
    return found


def _label_tracks(folder: Path, labels: Labels) -> Iterator[Line]:
    tracks = sorted(folder.glob("*.txt"))
    if not tracks:
        raise AsitError(f"{folder}: expected label tracks, <utt>.txt, found none; Audacity exports them")
    for track in tracks:
        text = read_text(str(track)).removeprefix("\ufeff")
        lines = [(f"{track}:{number}", line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if not lines:
            yield Line(track.stem, None, str(track))
        for where, line in lines:
            words = line.split("\t")
            if words[0] == "\\":  # a second line tells the frequencies of a label
                continue
            if len(words) != 3:
                raise AsitError(f"{where}: expected start, end and label, separated by tabs, found '{excerpt(line)}'")
            if words[0] == words[1]:
                raise AsitError(
                    f"{where}: a label of a point, {excerpt(words[0])} s, which has no duration; select in Audacity "
                    "how long it is heard, or write the end into the second column"
                )
            yield Line(track.stem, _event(*words, labels, where), where)
