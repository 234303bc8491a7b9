#!/usr/bin/env python3
"""Arabic Speech Commands -> data/<set>/{wav.scp,utt2spk,spk2utt,utt2label,labels.txt}; data/all for the features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.recipes.corpus import Recording, write_sets
from asit.recipes.csv_table import csv_rows

TABLES = {"train": "train.csv", "valid": "val.csv", "test": "test.csv"}
CLIPS = {"train": 7200, "valid": 2400, "test": 2400}
COLUMNS = ["file", "class"]


@dataclass(frozen=True)
class PrepareSettings(Options):
    """Where the corpus is and where the data directories go."""

    corpus: str = option(
        "downloads/arabic", "folder with train.csv, val.csv, test.csv and dataset/, or one that holds it"
    )
    data: str = option("data", "folder to write the data directories into")
    check_counts: bool = option(True, "fail unless there are as many clips as are published")


def find(corpus: str) -> Path:
    """The folder with the tables: ``corpus`` or, as archives have one folder, the one in it.

    Raises:
        AsitError: neither has them.
    """
    for folder in (Path(corpus), *sorted(path for path in Path(corpus).glob("*") if path.is_dir())):
        if all((folder / table).is_file() for table in TABLES.values()):
            return folder
    raise AsitError(f"{corpus}: expected {', '.join(TABLES.values())} and dataset/, found no such folder")


def recordings(settings: PrepareSettings) -> Iterator[Recording]:
    """Every clip; the speaker is the number before ``_NO_`` in ``dataset/<word>/00000030_NO_01.wav``.

    Raises:
        AsitError: a table without its columns or with another number of clips, a line of another form, a file that is
            not there.
    """
    folder = find(settings.corpus)
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
        if settings.check_counts and count != CLIPS[part]:
            raise AsitError(f"{path}: expected {CLIPS[part]} clips, found {count}; take the official table")


@command
def main() -> None:
    """Write one data directory a set."""
    settings = parse(PrepareSettings)
    for name, count in write_sets(list(recordings(settings)), settings.data).items():
        print(f"{settings.data}/{name}: {count} recordings")


if __name__ == "__main__":
    raise SystemExit(main())
