#!/usr/bin/env python3
"""Arabic Speech Commands -> data/<set>/{wav.scp,utt2spk,spk2utt,utt2label,labels.txt}; data/all for the features."""

from __future__ import annotations

from dataclasses import dataclass

from arabic_commands import recordings

from asit.config import Options, option, parse
from asit.errors import command
from asit.recipes.corpus import write_sets


@dataclass(frozen=True)
class PrepareSettings(Options):
    """Where the corpus is and where the data directories go."""

    corpus: str = option(
        "downloads/arabic", "folder with train.csv, val.csv, test.csv and dataset/, or one that holds it"
    )
    data: str = option("data", "folder to write the data directories into")
    check_counts: bool = option(True, "fail unless there are as many clips as are published")


@command
def main() -> None:
    """Write one data directory a set."""
    settings = parse(PrepareSettings)
    for name, count in write_sets(list(recordings(settings.corpus, settings.check_counts)), settings.data).items():
        print(f"{settings.data}/{name}: {count} recordings")


if __name__ == "__main__":
    raise SystemExit(main())
