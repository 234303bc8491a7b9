"""A corpus in folders: ``<corpus>/<label>/**/<recording>``, or ``<corpus>/<set>/<label>/**/<recording>``.

The folders are sets where all of them are called like sets, or where there is one to train on and another to select or
score by; then others beside them are further sets. Else they are classes, a class that is called "train" too.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from asit.errors import AsitError
from asit.io.audio_files import EXTENSIONS, UNREADABLE_EXTENSIONS
from asit.recipes.labels import Labels, path_problem
from asit.recipes.recording import Recording
from asit.recipes.sets import UNLABELLED, known_set, one_name_each, set_name

logger = logging.getLogger(__name__)

NAMED = 3  # files that a message names


def read_folders(corpus: Path, labelled: bool = True) -> list[Recording]:
    """All recordings below a folder, with one line that says how it was read and others about what was left out.

    Args:
        labelled: else folders mean nothing, and all recordings are in the pool.

    Raises:
        AsitError: no recordings, one outside the folders of labels, links that lead nowhere, a folder that cannot be
            read, names that are not UTF-8, two folders that mean one set or one label.
    """
    files = _Files(corpus)
    files.visit(corpus)
    files.tell()
    if not files.recordings:
        expected = " ".join(sorted(EXTENSIONS))
        where = " in folders of labels" if labelled else ""
        raise AsitError(f"{corpus}: expected recordings ({expected}){where}, found none")
    parts = {path: path.relative_to(corpus).parts for path in files.recordings}
    if not labelled:
        return [
            Recording(str(path), (), split=UNLABELLED, name="-".join((*names[:-1], path.stem)))
            for path, names in parts.items()
        ]
    sets = _sets({p[0] for p in parts.values() if len(p) > 1}, corpus)
    labels, found = Labels(), []
    for path, names in parts.items():
        if len(names) < (3 if sets else 2):
            expected = "<set>/<label>/<recording>" if sets else "<label>/<recording>"
            raise AsitError(f"{path}: expected {corpus}/{expected}; move it into a label's folder or name it in a CSV")
        split = sets.get(names[0], "")
        label = () if split == UNLABELLED else (labels.add(names[1 if sets else 0], str(path)),)
        name = "-".join((*names[:-1], path.stem))
        found.append(Recording(str(path), label, split=split, name=name))
    what = ", ".join(f"{name} (folder {text})" if name != text else name for text, name in sorted(sets.items()))
    logger.warning("%s: read as %s; %s", corpus, f"sets: {what}" if sets else "folders of classes", labels.told())
    return found


def _sets(names: set[str], corpus: Path) -> dict[str, str]:
    """Folder -> set, empty where the folders are classes."""
    known = {name: known_set(name) for name in names}
    kinds = set(known.values())
    if not kinds - {None} or (None in kinds and not ("train" in kinds and kinds & {"valid", "test"})):
        called = sorted(name for name, kind in known.items() if kind)
        if called:
            logger.warning(
                "%s: %s taken for a class, as no other folder is called like a set; if sets are meant, call them "
                "train, valid and test, or list the recordings in a CSV file with the column split",
                corpus,
                f"the folder {called[0]} is" if len(called) == 1 else f"the folders {', '.join(called)} are",
            )
        return {}
    one_name_each(names, str(corpus))
    return {name: set_name(name, str(corpus / name)) for name in names}


@dataclass
class _Files:
    """What is below a folder; links are followed, hidden files left out."""

    corpus: Path
    recordings: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    loops: list[Path] = field(default_factory=list)

    def visit(self, folder: Path, above: tuple[tuple[int, int], ...] = ()) -> None:
        """Note all files of a folder and those below it; `above`: device and inode of the folders that led here."""
        try:
            status = os.stat(folder)
            names = sorted(os.listdir(folder))
        except OSError as error:
            raise AsitError(f"{folder}: cannot read the folder: {error.strerror}; check its permissions") from None
        here = (status.st_dev, status.st_ino)
        if here in above:
            self.loops.append(folder)
            return
        for name in names:
            path = folder / name
            if name.startswith(".") or name == "__MACOSX":  # ._take.wav beside take.wav is no recording
                self.others["hidden"] += 1
            elif path.is_dir():
                self.visit(path, (*above, here))
            else:
                self._note(path)

    def _note(self, path: Path) -> None:
        suffix = path.suffix.lower()
        if suffix not in EXTENSIONS:
            if suffix in UNREADABLE_EXTENSIONS:
                self.unreadable.append(path)
            else:
                self.others[suffix or "without extension"] += 1
            return
        problem = path_problem(str(path))
        if problem:
            raise AsitError(problem)
        if not path.is_file():
            what = "a link that leads nowhere" if path.is_symlink() else "no regular file"
            raise AsitError(f"{path}: {what}; fetch what it stands for, or remove it")
        self.recordings.append(path)

    def tell(self) -> None:
        """One line for each kind of file that is left out."""
        if self.unreadable:
            names = ", ".join(os.fsencode(p).decode("utf-8", "backslashreplace") for p in self.unreadable[:NAMED])
            more = ", …" if len(self.unreadable) > NAMED else ""
            kinds = " ".join(sorted({p.suffix.lower() for p in self.unreadable}))
            logger.warning(
                "%s: %d recordings in formats that cannot be read (%s) are left out; convert them to flac: %s%s",
                self.corpus,
                len(self.unreadable),
                kinds,
                names,
                more,
            )
        if self.others:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.others.most_common())
            logger.warning("%s: files that are no recordings are left out: %s", self.corpus, kinds)
        for folder in self.loops:
            logger.warning("%s: a link to a folder that holds it is not followed", folder)
