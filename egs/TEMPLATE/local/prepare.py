#!/usr/bin/env python3
"""<corpus>/<set>/<label>/<recording> -> data/<set>/{wav.scp,utt2spk,spk2utt,utt2label,labels.txt}.

The only part of the recipe that knows the corpus: rewrite :func:`recordings` for another layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asit.config import option, parse
from asit.errors import AsitError, command
from asit.io.atomic import write_text
from asit.io.data_dir import write_data_dir

AUDIO = {".wav", ".flac", ".ogg", ".opus", ".mp3"}


@dataclass(frozen=True)
class PrepareSettings:
    """Where the corpus is and where the data directories go."""

    corpus: str = option("corpus", "folder with one folder a set, in it one folder a label, in it the recordings")
    data: str = option("data", "folder to write the data directories into")
    sets: tuple[str, ...] = option(("train", "valid", "test"), "sets to prepare")
    labelled: tuple[str, ...] = option(
        ("train", "valid", "test"), "sets of the task; a set for pretraining has no labels"
    )


def recordings(folder: Path) -> Iterator[tuple[str, str, str, Path]]:
    """(utterance, speaker, label, audio file) of each recording of a set.

    Ids hold no white space, and the speaker is a prefix of the utterance. Who speaks is not known here, so every
    recording is its own speaker, as is usual in Kaldi.
    """
    for path in sorted(p for p in folder.glob("*/*") if p.suffix.lower() in AUDIO):
        label = path.parent.name
        utterance = re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{label}-{path.stem}")
        yield utterance, utterance, label, path


@command
def main() -> None:
    """Write one data directory a set; the labelled ones have one label map, of all their labels."""
    settings = parse(PrepareSettings)
    found = {name: list(recordings(Path(settings.corpus, name))) for name in settings.sets}
    labels = sorted({label for name in settings.labelled for _, _, label, _ in found.get(name, [])})
    label_map = "".join(f"{label} {index}\n" for index, label in enumerate(labels))
    for name, rows in found.items():
        if not rows:
            raise AsitError(f"{settings.corpus}/{name}: expected folders of recordings, found none; check --corpus")
        if len({utterance for utterance, *_ in rows}) < len(rows):
            raise AsitError(f"{settings.corpus}/{name}: two recordings get the same utterance id; rename one")
        tables = {
            "wav.scp": {utterance: str(path) for utterance, _, _, path in rows},
            "utt2spk": {utterance: speaker for utterance, speaker, _, _ in rows},
        }
        if name in settings.labelled:
            tables["utt2label"] = {utterance: label for utterance, _, label, _ in rows}
        write_data_dir(Path(settings.data, name), tables)
        if name in settings.labelled:
            write_text(Path(settings.data, name, "labels.txt"), label_map)
        print(f"{settings.data}/{name}: {len(rows)} recordings")


if __name__ == "__main__":
    raise SystemExit(main())
