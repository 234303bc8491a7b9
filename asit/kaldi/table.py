"""Kaldi tables: one ``key value…`` per line, sorted by key as bytes (C locale), keys unique, UTF-8, ``\\n``.

A plain table is cut in bulk, in numpy: two million lines take seconds. Only where something is wrong or unusual are the
lines looked at one by one (:func:`examine`), for the message.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from asit.errors import AsitError, excerpt
from asit.io.atomic import atomic_open
from asit.kaldi.strings import Strings

BLANKS = " \t"
SEVERAL_LINES = ("events",)  # tables that may have several lines a key; in memory they are one value, line by line
MOST_DIGITS = 18  # of a whole number in a table or an scp file: it fits into 64 bits, and so do sums of two
_WIDEST = 256  # bytes of a key that the fast reader compares


class Columns(NamedTuple):
    """A table: its keys and, at the same places, its values."""

    keys: Strings
    values: Strings


def read_table(path: str | os.PathLike[str], check_order: bool = True, empty_values: bool = False) -> dict[str, str]:
    """A table as an ordered dictionary key -> rest of the line (inner spaces kept, outer ones stripped).

    Args:
        check_order: refuse a file that is not sorted by key in C locale (byte order).
        empty_values: accept lines of a key alone (Kaldi allows them in ``text``).

    Raises:
        AsitError: the first problem with its line: missing or empty file, not UTF-8, CRLF, a blank line,
            a key without a value, a duplicate or unsorted key, no newline at the end.
    """
    table, problems = examine(os.fspath(path), check_order, empty_values)
    if problems:
        raise AsitError(problems[0])
    return table


def read_columns(path: str | os.PathLike[str]) -> Columns:
    """A table as :func:`read_table` reads it, in two buffers instead of a dictionary; errors too."""
    columns = _plain(_read_bytes(os.fspath(path)))
    if columns is None:
        table = read_table(path)
        columns = Columns(Strings(list(table)), Strings(list(table.values())))
    return columns


def positive_integers(path: str, columns: Columns, what: str) -> np.ndarray:
    """The values as int64, each at least 1.

    Raises:
        AsitError: naming the first key whose value is another.
    """
    if int(columns.values.lengths().max(initial=0)) <= MOST_DIGITS:
        packed = columns.values.packed()
        digits = packed.view(np.uint8).reshape(len(packed), -1)
        if bool((((digits >= 48) & (digits <= 57)) | (digits == 0)).all()):
            numbers = packed.astype(np.int64)
            if bool((numbers >= 1).all()):
                return numbers
    for key, text in zip(*columns, strict=True):
        if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS and int(text)):
            raise AsitError(
                f"{path}: utterance {excerpt(key)}: expected a positive number of {what}, found '{excerpt(text)}'"
            )
    raise AssertionError(f"{path}: no value is wrong")


def write_table(path: str | os.PathLike[str], table: Mapping[str, str]) -> None:
    """Write a table, sorted in C locale, whole or not at all.

    Raises:
        AsitError: as :func:`format_table`; a file that cannot be written.
    """
    text = format_table(os.fspath(path), table)
    with atomic_open(path) as stream:
        stream.write(text)


def format_table(path: str, table: Mapping[str, str]) -> str:
    """The text of a table, sorted in C locale. `path` is named in errors.

    Raises:
        AsitError: an empty table; a key that is empty, holds white space or starts with "~"; a value with a
            line break, except in a table of ``SEVERAL_LINES``.
    """
    if not table:
        raise AsitError(f"{path}: expected at least one line to write, found none")
    joined = "".join(table)
    if "" in table or "~" in joined or " " in joined or not joined.isprintable():
        for key in table:
            problem = key_problem(key)
            if problem:
                raise AsitError(f"{path}: {problem}")
    # Python sorts by code points, whose order is that of their UTF-8 bytes: C locale.
    if several_lines(path):
        lines = [f"{key} {line}" for key in sorted(table) for line in table[key].split("\n")]
    else:
        lines = [f"{key} {table[key]}".rstrip(BLANKS) for key in sorted(table)]
    text = "\n".join(lines)
    if text.count("\n") != len(lines) - 1 or "\r" in text:
        key = next(k for k, v in table.items() if "\n" in v or "\r" in v)
        raise AsitError(f"{path}: value of '{excerpt(key)}' holds a line break; a table has one line per key")
    return text + "\n"


def several_lines(path: str) -> bool:
    """Whether the table may have several lines a key."""
    return os.path.basename(path) in SEVERAL_LINES


def key_problem(key: str) -> str | None:
    """What is wrong with an utterance, recording or speaker id, or None.

    >>> key_problem("two words")
    "id 'two words' holds white space or a control character; use '-' or '_'"
    """
    if not key:
        return "an id is empty"
    if not key.isprintable() or " " in key:
        if key.startswith("\ufeff"):
            return f"id {excerpt(key)!r} starts with a byte order mark; save the file as UTF-8 without BOM"
        if any(c.isspace() or unicodedata.category(c) == "Cc" for c in key):
            return f"id {key[:80]!r} holds white space or a control character; use '-' or '_'"
    if key.startswith("~"):
        return f"id '{excerpt(key)}' starts with '~', which Kaldi's archives do not allow; rename it"
    return None


def read_text(path: str) -> str:
    """A whole UTF-8 file, line ends untouched.

    Raises:
        AsitError: missing, a folder, unreadable, or not UTF-8 (with the line).
    """
    return _decoded(path, _read_bytes(path))


def examine(path: str, check_order: bool = True, empty_values: bool = False) -> tuple[dict[str, str], list[str]]:
    """The usable lines of a table, of a repeated key the first, and everything wrong as ``file:line: …`` messages.

    Raises:
        AsitError: as :func:`read_text`.
    """
    data = _read_bytes(path)
    if _plain(data) is not None:
        return dict(line.split(" ", 1) for line in data[:-1].decode().split("\n")), []
    found: dict[str, str] = {}
    text = _decoded(path, data)
    if not text:
        return found, [f"{path}: expected at least one line, found an empty file"]
    problems = []
    if not text.endswith("\n"):
        problems.append(f"{path}:{text.count(chr(10)) + 1}: no newline at the end of the last line; add one")
    if "\r" in text:
        crlf = [i for i, line in enumerate(text.split("\n"), 1) if "\r" in line]
        problems.append(f"{path}:{crlf[0]}: carriage return ({len(crlf)} lines); convert the file (sed -i 's/\\r//g')")
    lines: dict[str, int] = {}
    previous = ""
    for number, line in enumerate(text.replace("\r", "").removesuffix("\n").split("\n"), 1):
        key, value = cut(line)
        if not key:
            what = "starts with white space" if line.strip() else "is blank"
            problems.append(f"{path}:{number}: line {what}; expected 'key value'")
            continue
        if not value and not empty_values:
            problems.append(f"{path}:{number}: '{excerpt(key)}' has no value; expected 'key value'")
        if wrong := key_problem(key):
            problems.append(f"{path}:{number}: {wrong}")
        if key in found and several_lines(path) and key == previous:
            found[key] += f"\n{value}"
            continue
        if key in found:
            remedy = "put its lines together" if several_lines(path) else "remove one"
            problems.append(f"{path}:{number}: '{excerpt(key)}' is there already, on line {lines[key]}; {remedy}")
            continue
        found[key], lines[key] = value, number
        if check_order and key < previous:
            problems.append(
                f"{path}:{number}: not sorted: '{excerpt(key)}' after '{excerpt(previous)}'; sort by the first column "
                "(LC_ALL=C sort)"
            )
        previous = key
    return found, problems


def cut(line: str) -> tuple[str, str]:
    """Key and stripped value of a line; the key is empty when the line starts with a blank."""
    cut = line.replace("\t", " ").find(" ")
    return (line, "") if cut < 0 else (line[:cut], line[cut + 1 :].strip(BLANKS))


def _read_bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        raise AsitError(f"{path}: no such file") from None
    except OSError as error:
        raise AsitError(f"{path}: cannot read: {error.strerror}") from None


def _decoded(path: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise AsitError(
            f"{path}:{line}: expected UTF-8, found byte 0x{byte:02x}; convert the file (iconv -t UTF-8)"
        ) from None


def _plain(data: bytes) -> Columns | None:
    """Keys and values of a table that is plainly right: "key value" lines, ASCII keys, sorted, unique; else None."""
    if not data.endswith(b"\n"):
        return None
    array = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(array == 10)
    if int(np.count_nonzero(array < 32)) != len(ends) or 127 in data:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    blanks = np.flatnonzero(array == 32)
    place = np.searchsorted(blanks, starts)
    if len(blanks) == 0 or place[-1] >= len(blanks):
        return None
    first = blanks[place]
    if not bool(((first > starts) & (first + 1 < ends)).all()):
        return None
    if (
        bool((array[first + 1] == 32).any())
        or bool((array[ends - 1] == 32).any())
        or bool((array[starts] == 126).any())
    ):
        return None
    keys = Strings.of_buffer(data, starts, first)
    if int(keys.lengths().max()) > _WIDEST:
        return None
    packed = keys.packed()
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            return None
        if int(packed.view(np.uint8).max()) > 127:
            return None
    if not bool((packed[1:] > packed[:-1]).all()):
        return None
    return Columns(keys, Strings.of_buffer(data, first + 1, ends))
