"""A corpus in a CSV file: columns ``path,label`` and, if wanted, ``speaker``, ``split``, ``fold``.

The header names them, or an option maps them: ``path=audio/{filename}.wav,label=category``. The delimiter is a comma, a
semicolon or a tab, as in the header. Several labels of a clip are separated by ``;``, and ``-`` is none of them; paths
count from the file's folder. A clip without a label serves for pretraining only, except where clips have several labels
and a set, a fold or neither is asked for: there it has none of them.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from asit.errors import AsitError, nearest
from asit.io.audio_files import UNREADABLE_EXTENSIONS
from asit.kaldi.column_values import NO_LABEL
from asit.recipes.labels import Labels, path_problem
from asit.recipes.recording import Recording, is_tagging
from asit.recipes.sets import UNLABELLED, one_name_each, plain_name, set_name

logger = logging.getLogger(__name__)

COLUMNS = ("path", "label", "speaker", "split", "fold")
DELIMITERS = (",", ";", "\t")


def read_csv(table: Path, columns: str = "", labelled: bool = True) -> list[Recording]:
    """All recordings of a CSV file, with one line that says how it was read.

    Args:
        labelled: else labels, sets and folds mean nothing, need not be there, and all recordings are in the pool.
        columns: ``column=header,…`` for headers with other names; ``column=`` leaves a column out; a value with
            ``{header}`` is put together from several.

    Raises:
        AsitError: with the line: no UTF-8 text, a malformed line, an unknown or missing column, a missing file, one
            that is listed twice, a label or set whose name cannot be used; columns that are filled in here and there.
    """
    text = _text(table)
    delimiter = _delimiter(text)
    rows = _rows(table, text, delimiter)
    head = [name.strip() for name in next(rows, (1, []))[1]]
    where_of = _mapping(head, columns, f"{table}:1", ("path", "label") if labelled else ("path",))
    where_of = where_of if labelled else {k: v for k, v in where_of.items() if k in ("path", "speaker")}
    labels, found, lines = Labels(), [], dict[str, int]()
    sets: set[str] = set()
    for number, row in rows:
        where = f"{table}:{number}"
        if len(row) != len(head):
            raise AsitError(f"{where}: expected {len(head)} fields as in the header, found {len(row)}")
        cells = dict(zip(head, map(str.strip, row), strict=True))
        values = {name: _fill(template, cells).strip() for name, template in where_of.items()}
        path = str(table.parent / values["path"])
        _check_file(values["path"], path, where)
        first = lines.setdefault(os.path.normpath(path), number)
        if first != number:
            raise AsitError(
                f"{where}: {path} is on line {first} already; give each clip one line, with its labels separated by ';'"
            )
        split, fold = values.get("split", ""), values.get("fold", "")
        if split:
            sets.add(split)
            split = set_name(split, where)
        if fold:
            plain_name(fold, f"{where}: fold")
        name = str(Path(values["path"]).with_suffix(""))
        label = _labels(values.get("label", ""), labels, where)
        found.append(Recording(path, label, values.get("speaker", ""), split, fold, name))
    one_name_each(sets, str(table))
    separator = {",": "commas", ";": "semicolons", "\t": "tabs"}[delimiter]
    shown = ", ".join(name if name == template else f"{name} from {template}" for name, template in where_of.items())
    logger.warning("%s: read as a table separated by %s; columns %s; %s", table, separator, shown, labels.told())
    return _with_places(found, str(table)) if labelled else [replace(r, split=UNLABELLED) for r in found]


def csv_rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each row of a file, the header included, which tells the delimiter; empty rows are left out.

    Raises:
        AsitError: with the line: no UTF-8 text, a malformed row.
    """
    text = _text(table)
    return _rows(table, text, _delimiter(text))


def _text(table: Path) -> str:
    try:
        return table.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise AsitError(f"{table}: cannot read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise AsitError(
            f"{table}: expected UTF-8 text, found byte {error.object[error.start]:#04x}; save it as CSV UTF-8"
        ) from None


def _delimiter(text: str) -> str:
    """The one that cuts the header into most fields."""
    head = [text.split("\n", 1)[0]]
    return max(DELIMITERS, key=lambda delimiter: len(next(csv.reader(head, delimiter=delimiter), [])))


def _rows(table: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each row that is not empty."""
    limit = csv.field_size_limit(sys.maxsize)  # of this process; a column that is not read may be as long as it likes
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        number = 1
        for row in reader:
            if any(map(str.strip, row)):
                yield number, row
            number = reader.line_num + 1
    except csv.Error as error:
        raise AsitError(
            f"{table}:{number}: expected a row of CSV, found {error}; look for a quote that is open"
        ) from None
    finally:
        csv.field_size_limit(limit)


def _mapping(head: Sequence[str], columns: str, where: str, needed: Sequence[str]) -> dict[str, str]:
    """Column -> header, or text with ``{header}`` in it."""
    found = {name: text for name in COLUMNS for text in head if text.lower() == name}
    if len(set(head)) != len(head):
        twice = next(name for name in head if head.count(name) > 1)
        raise AsitError(f"{where}: column '{twice}' is there twice; rename one")
    for name in () if columns else head:
        if name.lower() not in COLUMNS:
            raise AsitError(
                f"{where}: unknown column '{name}': {nearest(name, COLUMNS)}; with --columns, such as --columns "
                "path=path, columns that are not named are left out"
            )
    for part in filter(None, (part.strip() for part in columns.split(","))):
        name, equals, text = part.partition("=")
        if not equals or name not in COLUMNS:
            raise AsitError(
                f"--columns: expected words such as path=filename, found '{part}': {nearest(name, COLUMNS)}"
            )
        for used in re.findall(r"{([^{}]*)}", text) or ([text] if text else []):
            if used not in head:
                raise AsitError(f"{where}: --columns {part}: no column '{used}': {nearest(used, head)}")
        found[name] = text
    found = {name: text for name, text in found.items() if text}
    for name in needed:
        if name not in found:
            raise AsitError(
                f"{where}: expected a header with the column '{name}', found {', '.join(head) or 'none'}; rename "
                "one, or say which it is: --columns path=filename,label=category"
            )
    return found


def _fill(template: str, cells: Mapping[str, str]) -> str:
    """The value that a header, or a text with ``{header}`` in it, has in a row."""
    if template in cells:
        return cells[template]
    return re.sub(r"{([^{}]*)}", lambda match: cells[match[1]], template)


def _check_file(value: str, path: str, where: str) -> None:
    problem = path_problem(path) if value else "the path is empty"
    if problem:
        raise AsitError(f"{where}: {problem}")
    if not os.path.isfile(path):
        raise AsitError(f"{where}: {path}: no such file; paths count from the folder of the table")
    if Path(path).suffix.lower() in UNREADABLE_EXTENSIONS:
        raise AsitError(f"{where}: {path}: this format cannot be read; convert the file to flac")


def _labels(text: str, labels: Labels, where: str) -> tuple[str, ...]:
    if text == NO_LABEL:
        return (NO_LABEL,)
    found = [labels.add(label, where) for label in map(str.strip, text.split(";")) if label]
    for label in found:
        if found.count(label) > 1:
            raise AsitError(f"{where}: label '{label}' is given twice; remove one")
    return tuple(found)


def _with_places(found: Sequence[Recording], where: str) -> list[Recording]:
    """Clips without a label have none of the tags, or are for pretraining; the others have a set if any of them has."""
    splits, folds = any(r.split and r.split != UNLABELLED for r in found), any(r.fold for r in found)
    both = next((r for r in found if r.split and r.fold), None)
    if both:
        raise AsitError(f"{where}: {both.path} has a split and a fold; give one of the two columns")
    tagging = is_tagging(found)
    made = []
    for recording in found:
        placed = recording.fold if folds else recording.split if splits else "by itself"
        if not recording.labels and tagging and placed and recording.split != UNLABELLED:
            made.append(replace(recording, labels=(NO_LABEL,)))
        elif not recording.labels and recording.split not in ("", "train", UNLABELLED):
            raise AsitError(
                f"{where}: {recording.path} of set {recording.split} has no label; give it one, or the set {UNLABELLED}"
            )
        elif not recording.labels or recording.split == UNLABELLED:
            made.append(replace(recording, labels=(), split=UNLABELLED, fold=""))
        elif placed:
            made.append(recording)
        else:
            column = "fold" if folds else "split"
            raise AsitError(
                f"{where}: {recording.path} has a label but no {column}, others have one; fill in the column"
            )
    if not any(r.labels for r in made):
        raise AsitError(f"{where}: expected recordings with labels, found none")
    return made
