"""What is found wrong in a data directory: its tables, read as far as they can be, and problems with file and line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from asit.errors import AsitError
from asit.kaldi import table
from asit.kaldi.data_dir import DataDir

PER_FILE = 20  # problems of one kind in one file are listed up to here, then counted


@dataclass
class Findings:
    """The tables of a data directory and its problems so far, as ``file:line: what; remedy``."""

    data: DataDir
    problems: list[str] = field(default_factory=list)
    tables: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, messages: Iterable[str]) -> None:
        """Note up to PER_FILE messages and count the others."""
        messages = iter(messages)
        shown = list(itertools.islice(messages, PER_FILE))
        self.problems += shown
        rest = sum(1 for _ in messages)
        if rest:
            where = shown[0].split(":", 1)[0]
            self.problems.append(f"{where}: {rest} more like the last")

    def load(self, name: str) -> None:
        """Read a table as far as it can be read, and note what is wrong with its lines."""
        path = self.data.file(name)
        try:
            self.tables[name], problems = table.examine(path, empty_values=name == "text")
        except AsitError as error:  # not UTF-8 or unreadable: nothing more can be said
            problems = [str(error)]
        self.add(problems)

    def each(self, name: str, wrong: Callable[[str, str], str | None]) -> None:
        """Apply `wrong` to every line (key, value) of a table; its answer is a problem of that line."""
        bad = {key: said for key, value in self.tables.get(name, {}).items() if (said := wrong(key, value))}
        if bad:
            lines = self._line(name, bad)
            self.add(f"{self.data.file(name)}:{lines[key]}: '{key}': {said}" for key, said in bad.items())

    def _line(self, name: str, keys: Iterable[str]) -> dict[str, int]:
        """Line of each key in a file that may be malformed."""
        wanted = set(keys)
        lines = table.read_text(self.data.file(name)).replace("\r", "").split("\n")
        found: dict[str, int] = {}
        for number, line in enumerate(lines, 1):
            key = table.cut(line)[0]
            if key in wanted:
                found.setdefault(key, number)
        return found


def objection(convert: Callable[[str], object], value: str) -> str | None:
    """What `convert` has against a value, or None."""
    try:
        convert(value)
    except (ValueError, AsitError) as error:
        return str(error)
    return None
