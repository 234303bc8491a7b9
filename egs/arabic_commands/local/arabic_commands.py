"""Arabic Speech Commands as it is published: three tables and dataset/<word>/<speaker>_NO_<number>.wav."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from asit.errors import AsitError
from asit.recipes.corpus import Recording
from asit.recipes.csv_table import csv_rows

TABLES = {"train": "train.csv", "valid": "val.csv", "test": "test.csv"}
CLIPS = {"train": 7200, "valid": 2400, "test": 2400}
COLUMNS = ["file", "class"]


def find(corpus: str) -> Path:
    """The folder with the tables: ``corpus`` or, as archives have one folder, the one in it.

    Raises:
        AsitError: neither has them.
    """
    for folder in (Path(corpus), *sorted(path for path in Path(corpus).glob("*") if path.is_dir())):
        if all((folder / table).is_file() for table in TABLES.values()):
            return folder
    raise AsitError(f"{corpus}: expected {', '.join(TABLES.values())} and dataset/, found no such folder")


def recordings(corpus: str, check_counts: bool) -> Iterator[Recording]:
    """Every clip; the speaker is the number before ``_NO_`` in ``dataset/<word>/00000030_NO_01.wav``.

    Raises:
        AsitError: a table without its columns or with another number of clips, a line of another form, a file that is
            not there.
    """
    folder = find(corpus)
    for part, table in TABLES.items():
        path, count = folder / table, 0
        rows = csv_rows(path)
        _, head = next(rows, (1, []))
        if head != COLUMNS:
            raise AsitError(f"{path}:1: expected the header {','.join(COLUMNS)}, found {','.join(head)!r}")
        for number, row in rows:
            if len(row) != 2 or "_NO_" not in row[0] or Path(row[0]).parent.name != row[1]:
                example = "dataset/<word>/<speaker>_NO_<number>.wav,<word>"
                raise AsitError(f"{path}:{number}: expected {example}, found {','.join(row)!r}")
            clip = folder / row[0]
            if not clip.is_file():
                raise AsitError(f"{path}:{number}: {clip} is not there; unpack the archive again")
            speaker, _, take = clip.stem.partition("_NO_")
            yield Recording(str(clip), (row[1].replace(" ", "_"),), speaker, part, name=f"{row[1]}_{take}")
            count += 1
        if check_counts and count != CLIPS[part]:
            raise AsitError(f"{path}: expected {CLIPS[part]} clips, found {count}; take the official table")
