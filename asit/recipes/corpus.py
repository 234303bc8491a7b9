"""A corpus without a script of its own: a folder of class folders, or a CSV file.

``<corpus>/<label>/**/<recording>``          split by itself: 80 % train, 10 % valid, 10 % test
``<corpus>/<set>/<label>/**/<recording>``    where there is a folder ``train``; other sets as they are called
``corpus.csv``                               columns path, label and, if wanted, speaker, split, fold; the header names
                                             them; several labels of a clip are separated by ``;``; paths count from
                                             the file's folder; a clip without a label serves for pretraining only

Sets: ``pool`` (all that training may see, with and without labels), ``train``, ``valid``, ``test`` and others that the
corpus names. With folds: ``pool_fold<k>``, ``train_fold<k>``, ``test_fold<k>``.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asit.errors import AsitError, nearest
from asit.io.atomic import write_text
from asit.io.data_dir import write_data_dir

AUDIO = {".wav", ".flac", ".ogg", ".opus", ".mp3"}
COLUMNS = ("path", "label", "speaker", "split", "fold")
UNLABELLED = "pool"
HELD_OUT = 0.1  # share of the clips, or speakers, in each of valid and test when the corpus has no split


@dataclass(frozen=True)
class Recording:
    """One clip; no labels: for pretraining only. ``name`` is the utterance id without the speaker."""

    path: str
    labels: tuple[str, ...] = ()
    speaker: str = ""
    split: str = ""
    fold: str = ""
    name: str = ""

    @property
    def utt(self) -> str:
        """``<speaker>-<name>``, or the name alone."""
        name = identifier(self.name or Path(self.path).with_suffix("").name)
        return f"{identifier(self.speaker)}-{name}" if self.speaker else name


def identifier(text: str) -> str:
    """``text`` as part of an utterance id: without white space and separators.

    >>> identifier("a b/c")
    'a_b_c'
    """
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).lstrip("~") or "_"


def read_corpus(corpus: str) -> list[Recording]:
    """All recordings of a folder of class folders or of a CSV file; every one has a split or a fold.

    Raises:
        AsitError: no such corpus, no recordings, an unknown or missing column (with the line), a missing file,
            too few clips of a label or too few speakers to split.
    """
    path = Path(corpus)
    if path.is_dir():
        found = _from_folders(path)
    elif path.is_file():
        found = _from_csv(path)
    else:
        raise AsitError(f"{corpus}: no such corpus; expected a folder of class folders or a CSV file")
    return found if any(r.split or r.fold for r in found) else split_by_itself(found, corpus)


def _from_folders(corpus: Path) -> list[Recording]:
    with_sets = (corpus / "train").is_dir()
    found = []
    for path in sorted(p for p in corpus.rglob("*") if p.suffix.lower() in AUDIO and p.is_file()):
        parts = path.relative_to(corpus).parts
        if len(parts) < 2 + with_sets:
            expected = "<set>/<label>/<recording>" if with_sets else "<label>/<recording>"
            raise AsitError(f"{path}: expected {corpus}/{expected}; move it into a label's folder or name it in a CSV")
        split, label = (parts[0], parts[1]) if with_sets else ("", parts[0])
        labels = () if split == UNLABELLED else (_label(label, str(path)),)
        name = "-".join((*parts[:-1], path.stem))
        found.append(Recording(str(path), labels, split=split, name=name))
    if not found:
        raise AsitError(f"{corpus}: expected recordings ({' '.join(sorted(AUDIO))}) in folders of labels, found none")
    return found


def _from_csv(table: Path) -> list[Recording]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise AsitError(f"{table}: expected UTF-8 text, found byte {error.object[error.start]:#04x}") from None
    rows = list(csv.reader(text.splitlines(), delimiter="\t" if "\t" in text.split("\n", 1)[0] else ","))
    head = [name.strip().lower() for name in rows[0]] if rows else []
    for name in head:
        if name not in COLUMNS:
            raise AsitError(f"{table}:1: unknown column '{name}': {nearest(name, COLUMNS)}")
    for name in ("path", "label"):
        if name not in head:
            raise AsitError(f"{table}:1: expected a header with the column '{name}', found {', '.join(head) or 'none'}")
    found = []
    for number, row in enumerate(rows[1:], 2):
        where = f"{table}:{number}"
        if not any(row):
            continue
        if len(row) != len(head):
            raise AsitError(f"{where}: expected {len(head)} fields as in the header, found {len(row)}")
        values = {name: value.strip() for name, value in zip(head, row, strict=True)}
        path = table.parent / values["path"]
        if not path.is_file():
            raise AsitError(f"{where}: {path}: no such file")
        labels = tuple(_label(label, where) for label in values["label"].split(";") if label.strip())
        split = values.get("split", "") if labels else values.get("split") or UNLABELLED
        name = str(Path(values["path"]).with_suffix(""))
        found.append(Recording(str(path), labels, values.get("speaker", ""), split, values.get("fold", ""), name))
    labelled = [r for r in found if r.labels]
    if not labelled:
        raise AsitError(f"{table}: expected recordings with labels, found none")
    both = [r for r in labelled if r.split and r.fold]
    if both:
        raise AsitError(f"{table}: {both[0].path} has a split and a fold; give one of the two columns")
    for column in ("split", "fold"):
        have = [bool(getattr(r, column)) for r in labelled]
        if any(have) and not all(have):
            odd = labelled[have.index(False)]
            raise AsitError(f"{table}: {odd.path} has a label but no {column}, others have one; fill in the column")
    if any(r.fold for r in labelled) or any(r.split for r in labelled):
        return found
    extra = [r for r in found if not r.labels]
    return [*split_by_itself(labelled, str(table)), *extra]


def _label(text: str, where: str) -> str:
    label = "_".join(text.split())
    if not label or "," in label:
        raise AsitError(f"{where}: expected a label without commas, found '{text}'")
    return label


def split_by_itself(recordings: Sequence[Recording], where: str) -> list[Recording]:
    """Recordings with their set; a function of the names alone, whatever their order.

    Speakers are kept whole where they are known and are not what is recognised; else each label's clips are split.
    """
    speakers = {r.speaker for r in recordings} - {""}
    labels = {r.labels for r in recordings}
    by_speaker = all(r.speaker for r in recordings) and labels != {(speaker,) for speaker in speakers}
    groups: dict[str, dict[str, list[Recording]]] = defaultdict(lambda: defaultdict(list))
    for recording in recordings:
        group = "" if by_speaker else ";".join(recording.labels)
        groups[group][recording.speaker if by_speaker else recording.utt].append(recording)
    found = []
    for group, units in groups.items():
        if len(units) < 3:
            what = "speakers" if by_speaker else f"clips of '{group}'"
            raise AsitError(f"{where}: {len(units)} {what} cannot be split into train, valid and test; name the sets")
        ranked = sorted(units, key=lambda unit: hashlib.sha256(unit.encode()).digest())
        held = max(1, round(HELD_OUT * len(ranked)))
        for place, unit in enumerate(ranked):
            split = "test" if place < held else "valid" if place < 2 * held else "train"
            found += [replace(recording, split=split) for recording in units[unit]]
    return found


def sets_of(recordings: Iterable[Recording]) -> dict[str, list[Recording]]:
    """Set name -> its recordings; what each fold trains on and is tested on, where there are folds."""
    recordings = list(recordings)
    labelled, rest = [r for r in recordings if r.labels], [r for r in recordings if not r.labels]
    sets: dict[str, list[Recording]] = {}
    folds = sorted({r.fold for r in labelled if r.fold})
    for fold in folds:
        train = [r for r in labelled if r.fold != fold]
        sets |= {f"pool_fold{fold}": train + rest, f"train_fold{fold}": train}
        sets[f"test_fold{fold}"] = [r for r in labelled if r.fold == fold]
    if not folds:
        sets[UNLABELLED] = [r for r in labelled if r.split == "train"] + rest
        for recording in labelled:
            sets.setdefault(recording.split, []).append(recording)
    return sets


def write_sets(recordings: Sequence[Recording], data: str) -> dict[str, int]:
    """Write ``<data>/all`` and a data directory for each set, all labelled ones with one label map.

    Returns:
        The number of clips of each set.

    Raises:
        AsitError: two recordings with one utterance id, a label that no training set has.
    """
    twice = [utt for utt, count in Counter(r.utt for r in recordings).items() if count > 1]
    if twice:
        paths = [r.path for r in recordings if r.utt == twice[0]]
        raise AsitError(f"{paths[0]} and {paths[1]}: both get the utterance id '{twice[0]}'; rename one")
    sets = sets_of(recordings)
    known = {label for name, rows in sets.items() if name.startswith("train") for r in rows for label in r.labels}
    for name, rows in sets.items():
        for recording in rows:
            unknown = set(recording.labels) - known
            if unknown:
                raise AsitError(f"{recording.path}: label '{min(unknown)}' of set {name} is in no training set")
    label_map = "".join(f"{label} {index}\n" for index, label in enumerate(sorted(known)))
    for name, rows in {"all": list(recordings), **sets}.items():
        tables = {
            "wav.scp": {r.utt: r.path for r in rows},
            "utt2spk": {r.utt: identifier(r.speaker) if r.speaker else r.utt for r in rows},
        }
        labelled = name != "all" and not name.startswith(UNLABELLED)
        if labelled:
            tables["utt2label"] = {r.utt: ",".join(sorted(r.labels)) for r in rows}
        write_data_dir(os.path.join(data, name), tables)
        if labelled:
            write_text(os.path.join(data, name, "labels.txt"), label_map)
    return {name: len(rows) for name, rows in sets.items()}
