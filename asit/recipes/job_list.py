"""The lists of command lines that asit-plan-runs writes: job n of ``exp/plan/finetune.txt`` is its line n.

A line is quoted for a shell, so that a person can paste it into one.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asit.errors import AsitError
from asit.io.atomic import free_name, write_text
from asit.kaldi.table import read_text


def line(command: str, options: Mapping[str, Any]) -> str:
    """A command with its options; a value may be a list.

    >>> line("asit-finetune", {"out_dir": "exp/a b", "tags": ["labels=10%", "seed=0"], "from_scratch": True})
    "asit-finetune --out-dir 'exp/a b' --tags labels=10% seed=0 --from-scratch true"
    """
    words = [command]
    for name, value in options.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        if values:  # none is what the command takes by itself
            words += [f"--{name.replace('_', '-')}", *map(_word, values)]
    return shlex.join(words)


def _word(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def write(path: str | os.PathLike[str], lines: Sequence[str]) -> None:
    """Write a list, in place of an earlier one.

    Raises:
        AsitError: a name with a line break, which would make two lines of one.
    """
    for text in lines:
        if "\n" in text:
            raise AsitError(f"{path}: a line is one job, so no name in it can hold a line break: {text!r}")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "".join(f"{text}\n" for text in lines))


def out_dirs(path: str | os.PathLike[str]) -> list[Path]:
    """The ``--out-dir`` of every line of a list, in their order, each once.

    Raises:
        AsitError: no such list, a line that no shell could read or without ``--out-dir``.
    """
    if not Path(path).is_file():
        raise AsitError(f"{path}: no such list of jobs; asit-plan-runs writes it")
    found: list[Path] = []
    for number, text in enumerate(read_text(str(path)).splitlines(), 1):
        try:
            words = shlex.split(text)
            found.append(Path(words[words.index("--out-dir") + 1]))
        except (ValueError, IndexError):
            raise AsitError(
                f"{path}:{number}: expected a command line with --out-dir, as asit-plan-runs writes it, found '{text}'"
            ) from None
    return list(dict.fromkeys(found))


def put_aside(path: str | os.PathLike[str]) -> list[tuple[str, str]]:
    """Rename the ``--out-dir`` of every line of a list; returns (folder, new name) of those that were there.

    The new name is the first free one of ``<out-dir>.old-1``, ``<out-dir>.old-2``, ...

    Raises:
        AsitError: as :func:`out_dirs`; a folder that cannot be renamed.
    """
    moved = []
    for place in out_dirs(path):
        if not place.exists():
            continue
        free = free_name(place)
        try:
            place.rename(free)
        except OSError as error:
            raise AsitError(f"{place}: cannot rename it to {free}: {error.strerror}") from None
        moved.append((str(place), str(free)))
    return moved
