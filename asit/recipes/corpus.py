"""A corpus without a script of its own: a folder of class folders, or a CSV file, to data directories.

The layouts are those of :mod:`asit.recipes.class_folders` and :mod:`asit.recipes.csv_table`, the sets those of
:mod:`asit.recipes.sets`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from asit.errors import AsitError
from asit.kaldi.data_dir import write_data_dir, write_labels
from asit.recipes.class_folders import read_folders
from asit.recipes.csv_table import read_csv
from asit.recipes.labels import path_problem
from asit.recipes.overlap import tell_overlap
from asit.recipes.recording import Recording, classes_of, with_ids
from asit.recipes.sets import EVERYTHING, UNLABELLED, check_complete, sets_of, split_by_itself

__all__ = ["Recording", "read_corpus", "sets_of", "split_by_itself", "write_sets"]
GIVEN = "given"
LABELS = (GIVEN, "none")
ABOUT_LABELS = "given: by folders or the CSV file; none: all recordings are for pretraining, and nothing is fine-tuned"


def read_corpus(corpus: str, columns: str = "", labels: str = GIVEN) -> list[Recording]:
    """All recordings of a folder of class folders or of a CSV file; every one has a split or a fold.

    Args:
        columns: which columns a CSV file with other names has, ``path=filename,label=category``.
        labels: "none": the pool has all recordings, of a folder those at any depth, and there is no other set.

    Raises:
        AsitError: no such corpus, no recordings, what the layout's reader refuses, one class only, sets without one to
            train on or to score, too few clips of a label or too few speakers to split.
    """
    path = Path(corpus)
    if path.is_dir() and columns:
        raise AsitError(f"--columns: {corpus} is a folder; only a CSV file has columns")
    if path.is_dir():
        found = read_folders(path, labels == GIVEN)
    elif path.is_file():
        found = read_csv(path, columns, labels == GIVEN)
    else:
        raise AsitError(f"{corpus}: no such corpus; expected a folder of class folders or a CSV file")
    found = with_ids(found)
    if labels != GIVEN:
        return found
    labelled = [r for r in found if r.labels]
    classes = classes_of(labelled)
    if len(classes) < 2 and not (classes and any(label not in classes for r in labelled for label in r.labels)):
        raise AsitError(
            f"{corpus}: expected at least two classes, found {', '.join(classes) or 'none'}; add recordings of "
            "another, or in a CSV file clips with the label '-', which have none; to pretrain alone, --labels none"
        )
    check_complete(labelled, corpus)
    if any(r.split or r.fold for r in labelled):
        return found
    return [*split_by_itself(labelled, corpus), *(r for r in found if not r.labels)]


def write_sets(recordings: Sequence[Recording], data: str) -> dict[str, int]:
    """Write ``<data>/all`` and a data directory for each set, all labelled ones with one label map.

    Returns:
        The number of clips of each set.

    Raises:
        AsitError: two recordings with one utterance id, a label that no training set has, a set, fold or path whose
            name cannot be used. Nothing is written then.
    """
    for recording in recordings:
        problem = path_problem(recording.path)
        if problem:
            raise AsitError(problem)
    recordings = with_ids(recordings)
    twice = [utt for utt, count in Counter(r.utt for r in recordings).items() if count > 1]
    if twice:
        paths = [r.path for r in recordings if r.utt == twice[0]]
        raise AsitError(f"{paths[0]} and {paths[1]}: both get the utterance id '{twice[0]}'; rename one")
    sets = sets_of(recordings)
    known = classes_of(r for name, rows in sets.items() if name.startswith("train") for r in rows)
    for name, rows in sets.items():
        for recording in rows if not name.startswith(UNLABELLED) else ():
            unknown = classes_of([recording]) - known
            if unknown:
                raise AsitError(f"{recording.path}: label '{min(unknown)}' of set {name} is in no training set")
    tell_overlap(recordings, data)
    for name, rows in {EVERYTHING: list(recordings), **sets}.items():
        tables = {
            "wav.scp": {r.utt: r.path for r in rows},
            "utt2spk": {r.utt: r.speaker or r.utt for r in rows},
        }
        labelled = name != EVERYTHING and not name.startswith(UNLABELLED)
        if labelled:
            tables["utt2label"] = {r.utt: ",".join(sorted(r.labels)) for r in rows}
        write_data_dir(os.path.join(data, name), tables)
        if labelled:
            write_labels(os.path.join(data, name, "labels.txt"), sorted(known))
    return {name: len(rows) for name, rows in sets.items()}
