#!/usr/bin/env python3
"""corpus/ -> data/<set>/{wav.scp,utt2spk,spk2utt,utt2dur,utt2label,labels.txt}; one set a file of corpus/splits/.

Run from the recipe directory: wav.scp holds paths relative to it. Every clip is first compared with the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from manifest import Entry, digest, read_flac, read_manifest

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.io.atomic import write_text
from asit.kaldi.data_dir import write_data_dir

UNLABELLED = ("all", "pool")


@dataclass(frozen=True)
class PrepareSettings(Options):
    """Where the corpus is and where the data directories go."""

    corpus: str = option("corpus", "folder with manifest.tsv, splits/ and the FLAC files")
    data: str = option("data", "folder to write the data directories into")


def check(corpus: Path, entries: list[Entry]) -> None:
    """Raise at the first FLAC file that does not hold the samples of the manifest."""
    for entry in entries:
        found = digest(read_flac(corpus / entry.path))
        if found != entry.sha256:
            path = corpus / entry.path
            raise AsitError(
                f"{path}: expected samples with sha256 {entry.sha256}, found {found}; git checkout -- {path}"
            )


def read_split(path: Path) -> list[tuple[str, str]]:
    """(path of the clip below corpus/, label or -) of each line."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    if not rows or any(len(row) != 3 for row in rows):
        raise AsitError(
            f"{path}: expected lines of path, label, seconds; restore it from git or run local/make_splits.py"
        )
    return [(row[0], row[1]) for row in rows]


@command
def main() -> None:
    """Check the corpus, then write one data directory for each split."""
    settings = parse(PrepareSettings)
    corpus, data = Path(settings.corpus), Path(settings.data)
    entries = read_manifest(corpus)
    check(corpus, entries)
    by_path = {entry.path: entry for entry in entries}
    split_files = sorted((corpus / "splits").glob("*.tsv"))
    if not split_files:
        raise AsitError(f"{corpus / 'splits'}: no *.tsv; restore them from git or run local/make_splits.py")
    rows_of = {"all": [(entry.path, "-") for entry in entries]}  # for the features, extracted once
    rows_of |= {path.stem: read_split(path) for path in split_files}
    for name, rows in rows_of.items():
        unknown = [path for path, _ in rows if path not in by_path]
        if unknown:
            raise AsitError(
                f"{corpus}/splits/{name}.tsv: '{unknown[0]}' is not in manifest.tsv; run local/make_splits.py"
            )
        clips = {by_path[path].utt: (by_path[path], label) for path, label in rows}
        tables = {
            "wav.scp": {utt: str(corpus / e.path) for utt, (e, _) in clips.items()},
            "utt2spk": {utt: e.speaker for utt, (e, _) in clips.items()},
            "utt2dur": {utt: str(e.seconds) for utt, (e, _) in clips.items()},
        }
        if name not in UNLABELLED:
            tables["utt2label"] = {utt: label for utt, (_, label) in clips.items()}
        write_data_dir(data / name, tables)
        if name not in UNLABELLED:  # one label map for all sets of a task, whichever labels a small subset has
            labels = sorted({label for path, label in rows_of[name.split("_")[0] + "_train"]})
            write_text(data / name / "labels.txt", "".join(f"{label} {i}\n" for i, label in enumerate(labels)))
        print(f"{data / name}: {len(clips)} utterances, {sum(e.seconds for e, _ in clips.values()) / 60:.2f} minutes")


if __name__ == "__main__":
    raise SystemExit(main())
