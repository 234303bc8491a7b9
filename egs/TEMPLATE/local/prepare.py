#!/usr/bin/env python3
"""The corpus -> data/<set>/{wav.scp,utt2spk,spk2utt,utt2label,labels.txt}, and data/all for the features.

The only part of the recipe that knows the corpus: for another layout than class folders or a CSV file, rewrite
:func:`recordings`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asit.config import Options, option, parse
from asit.errors import command
from asit.recipes.corpus import ABOUT_LABELS, GIVEN, LABELS, Recording, read_corpus, write_sets


@dataclass(frozen=True)
class PrepareSettings(Options):
    """Where the corpus is and where the data directories go."""

    corpus: str = option("corpus", "folder of class folders, or a CSV file (path,label[,speaker,split,fold])")
    columns: str = option("", "columns of a CSV file with other names, path=audio/{filename}.wav,label=category")
    labels: str = option(GIVEN, ABOUT_LABELS, LABELS)
    data: str = option("data", "folder to write the data directories into")


def recordings(settings: PrepareSettings) -> Iterable[Recording]:
    """Every clip as ``Recording(path, labels, speaker, split)``, or with ``fold`` in place of ``split``.

    ``labels`` is a tuple, empty for clips that serve for pretraining only, ``("-",)`` for clips with none of the tags;
    ``speaker`` may be empty; ``split`` is train, valid, test or another set's name.
    """
    return read_corpus(settings.corpus, settings.columns, settings.labels)


@command
def main() -> None:
    """Write one data directory a set."""
    settings = parse(PrepareSettings)
    for name, count in write_sets(list(recordings(settings)), settings.data).items():
        print(f"{settings.data}/{name}: {count} recordings")


if __name__ == "__main__":
    raise SystemExit(main())
