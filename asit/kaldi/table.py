"""Kaldi tables: one ``key value…`` per line, sorted by key as bytes (C locale), keys unique, UTF-8, ``\\n``.

Reading is done in bulk, without regular expressions: two million lines take seconds. Only when something is wrong
are the lines looked at one by one, for the message.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from asit.errors import AsitError, excerpt
from asit.io.atomic import atomic_open

BLANKS = " \t"


def read_table(path: str | os.PathLike[str], check_order: bool = True, empty_values: bool = False) -> dict[str, str]:
    """A table as an ordered dictionary key -> rest of the line (inner spaces kept, outer ones stripped).

    Args:
        check_order: refuse a file that is not sorted by key in C locale (byte order).
        empty_values: accept lines of a key alone (Kaldi allows them in ``text``).

    Raises:
        AsitError: the first problem with its line: missing or empty file, not UTF-8, CRLF, a blank line,
            a key without a value, a duplicate or unsorted key, no newline at the end.
    """
    path = os.fspath(path)
    text = read_text(path)
    table = _fast(text, check_order, empty_values)
    if table is None:
        for problem in problems(path, text, check_order, empty_values):
            raise AsitError(problem)
        table = dict(cut(line) for line in text[:-1].split("\n"))
    return table


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
            line break.
    """
    if not table:
        raise AsitError(f"{path}: expected at least one line to write, found none")
    joined = "".join(table)
    if "" in table or "~" in joined or " " in joined or not joined.isprintable():
        for key in table:
            problem = key_problem(key)
            if problem:
                raise AsitError(f"{path}: {problem}")
    lines = [f"{key} {table[key]}".rstrip(BLANKS) for key in sort_keys(table)]
    text = "\n".join(lines)
    if text.count("\n") != len(lines) - 1 or "\r" in text:
        key = next(k for k, v in table.items() if "\n" in v or "\r" in v)
        raise AsitError(f"{path}: value of '{excerpt(key)}' holds a line break; a table has one line per key")
    return text + "\n"


def sort_keys(keys: Iterable[str]) -> list[str]:
    """Keys in C locale: by their UTF-8 bytes. Python compares code points, whose order is the same.

    >>> sort_keys(["b", "a-1", "B", "a", "é"])
    ['B', 'a', 'a-1', 'b', 'é']
    """
    return sorted(keys)


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
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        raise AsitError(f"{path}: no such file") from None
    except OSError as error:
        raise AsitError(f"{path}: cannot read: {error.strerror}") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise AsitError(
            f"{path}:{line}: expected UTF-8, found byte 0x{byte:02x}; convert the file (iconv -t UTF-8)"
        ) from None


def problems(path: str, text: str, check_order: bool = True, empty_values: bool = False) -> Iterator[str]:
    """Everything wrong with a table as ``file:line: …`` messages (the slow, thorough reader)."""
    if not text:
        yield f"{path}: expected at least one line, found an empty file"
        return
    if not text.endswith("\n"):
        yield f"{path}:{text.count(chr(10)) + 1}: no newline at the end of the last line; add one"
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if "\r" in text:
        crlf = [i for i, line in enumerate(lines, 1) if "\r" in line]
        yield f"{path}:{crlf[0]}: carriage return ({len(crlf)} lines); convert the file (sed -i 's/\\r//g')"
    seen: dict[str, int] = {}
    previous = ""
    for number, line in enumerate(lines, 1):
        key, value = cut(line)
        if not key:
            what = "starts with white space" if line.strip() else "is blank"
            yield f"{path}:{number}: line {what}; expected 'key value'"
            continue
        if not value and not empty_values:
            yield f"{path}:{number}: '{excerpt(key)}' has no value; expected 'key value'"
        wrong = key_problem(key)
        if wrong and "\r" not in line:
            yield f"{path}:{number}: {wrong}"
        if key in seen:
            yield f"{path}:{number}: '{excerpt(key)}' is there already, on line {seen[key]}; remove one"
            continue
        seen[key] = number
        if check_order and key < previous:
            yield (
                f"{path}:{number}: not sorted: '{excerpt(key)}' after '{excerpt(previous)}'; sort by the first column "
                "(LC_ALL=C sort)"
            )
        previous = key


def cut(line: str) -> tuple[str, str]:
    """Key and stripped value of a line; the key is empty when the line starts with a blank."""
    cut = line.replace("\t", " ").find(" ")
    return (line, "") if cut < 0 else (line[:cut], line[cut + 1 :].strip(BLANKS))


def lenient(text: str) -> dict[str, str]:
    """Key -> value of the usable lines of a malformed table; of a repeated key the first counts."""
    found: dict[str, str] = {}
    for line in text.replace("\r", "").split("\n"):
        key, value = cut(line)
        if key:
            found.setdefault(key, value)
    return found


def _fast(text: str, check_order: bool, empty_values: bool) -> dict[str, str] | None:
    """The table if nothing is wrong with it, else None. Work per line happens in C."""
    if not text.endswith("\n") or "\r" in text:
        return None
    lines = text[:-1].split("\n")
    # "key value" cut at the first blank; a blank line or a leading blank makes an empty key.
    if "\t" in text:
        table = dict(pairs := [cut(line) for line in lines])
        keys = [key for key, _ in pairs]
    else:
        keys = [line.partition(" ")[0] for line in lines]
        table = {key: line[len(key) + 1 :].strip(BLANKS) for key, line in zip(keys, lines, strict=True)}
    if len(table) != len(keys) or "" in table:
        return None
    if not empty_values and not all(table.values()):
        return None
    joined = "".join(keys)
    if not joined.isprintable() or ("~" in joined and any(key[0] == "~" for key in keys)):
        return None
    if check_order and any(map(str.__gt__, keys, keys[1:])):
        return None
    return table
