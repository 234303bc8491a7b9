"""The sets of a corpus: their names, clips that are in no set yet, and what each set holds.

Sets: ``pool`` (all that training may see, with and without labels), ``train``, ``valid``, ``test`` and others that the
corpus names. With folds: ``pool_fold<k>``, ``train_fold<k>``, ``test_fold<k>``.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from asit.errors import AsitError
from asit.recipes.recording import Recording, is_tagging, speaker_id

logger = logging.getLogger(__name__)

UNLABELLED = "pool"
EVERYTHING = "all"  # all recordings together, for the features
HELD_OUT = 0.1  # share of the clips, or speakers, in each of valid and test when the corpus has no split
# name that is used -> names that mean it, in any case
NAMES = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
    UNLABELLED: ("pool", "unlabelled", "unlabeled"),
}
_KNOWN = {alias: name for name, aliases in NAMES.items() for alias in aliases}


def known_set(text: str) -> str | None:
    """The name of a set that `text` means, or None.

    >>> known_set("Validation"), known_set("noisy")
    ('valid', None)
    """
    return _KNOWN.get(text.lower())


def set_name(text: str, where: str) -> str:
    """The name of the set that a corpus calls `text`; a name only, never a path.

    Raises:
        AsitError: naming `where`: other characters than letters, digits, ``_``, ``.`` and ``-``, or a name that the
            recipes use themselves.
    """
    return known_set(text) or plain_name(text, f"{where}: set")


def plain_name(text: str, where: str) -> str:
    """`text`, which becomes a folder's name and stands in configuration files; raises AsitError naming `where`."""
    if not re.fullmatch(r"\w[\w.-]*", text) or ".." in text:
        raise AsitError(f"{where} '{text}': expected a name of letters, digits, '_', '.' and '-'; rename it")
    if text.lower() == EVERYTHING or (text.startswith(UNLABELLED) and text != UNLABELLED):
        raise AsitError(f"{where} '{text}': the recipes use this name themselves; rename it")
    return text


def one_name_each(named: Iterable[str], where: str) -> None:
    """Refuse two names of one set, such as val and dev, of which each may be meant as another set.

    Raises:
        AsitError: naming both.
    """
    first: dict[str, str] = {}
    for text in sorted({name.lower() for name in named}):
        name = known_set(text) or text
        other = first.setdefault(name, text)
        if other != text:
            raise AsitError(f"{where}: '{other}' and '{text}' both mean the set {name}; rename one")


def check_complete(recordings: Sequence[Recording], where: str) -> None:
    """Refuse sets without one to train on or one to score.

    Raises:
        AsitError: naming the sets that there are.
    """
    names = {r.split for r in recordings if r.split}
    told = f"{where}: sets {', '.join(sorted(names))}"
    if names and "train" not in names:
        raise AsitError(f"{told}: expected one to train on; call it train")
    if names and not names - {"train", "valid", UNLABELLED}:
        raise AsitError(f"{told}: expected one to score; call it test, or name no sets and the clips are split here")


def split_by_itself(recordings: Sequence[Recording], where: str) -> list[Recording]:
    """Recordings with their set; a function of the names alone, whatever their order.

    Speakers are kept whole where they are known and are not what is recognised; else each label's clips are split; with
    several labels a clip, those of its rarest one, and what only held-out clips would have is trained on.
    """
    by_speaker = all(r.speaker for r in recordings) and not all(
        len(r.labels) == 1 and speaker_id(r.labels[0]) == speaker_id(r.speaker) for r in recordings
    )
    if not any(r.speaker for r in recordings):
        logger.warning(
            "%s: no speakers are named: whether one speaker, or one source, is in train and in test cannot be told "
            "(a CSV file with the column speaker keeps them apart)",
            where,
        )
    tagging = is_tagging(recordings)
    count = Counter(label for r in recordings for label in r.labels)
    groups: dict[str, dict[str, list[Recording]]] = defaultdict(lambda: defaultdict(list))
    for recording in recordings:
        label = min(recording.labels, key=lambda label: (count[label], label))
        groups["" if by_speaker else label][recording.speaker if by_speaker else recording.utt].append(recording)
    found, few = [], []
    for group, units in groups.items():
        if len(units) < 3 and (by_speaker or not tagging):
            what = "speakers" if by_speaker else f"clips of '{group}'"
            raise AsitError(f"{where}: {len(units)} {what} cannot be split into train, valid and test; name the sets")
        few += [group] * (len(units) < 3)
        ranked = sorted(units, key=lambda unit: hashlib.sha256(unit.encode()).digest())
        held = max(1, round(HELD_OUT * len(ranked))) if len(units) >= 3 else 0
        for place, unit in enumerate(ranked):
            split = "test" if place < held else "valid" if place < 2 * held else "train"
            found += [replace(recording, split=split) for recording in units[unit]]
    if few:
        logger.warning("%s: too few clips to hold some out, all are trained on: %s", where, ", ".join(sorted(few)))
    if tagging and not by_speaker:
        known = {label for r in found if r.split == "train" for label in r.labels}
        found = [r if known.issuperset(r.labels) else replace(r, split="train") for r in found]
    return found


def sets_of(recordings: Iterable[Recording]) -> dict[str, list[Recording]]:
    """Set name -> its recordings; what each fold trains on and is tested on, where there are folds.

    Raises:
        AsitError: a set or fold whose name is no name.
    """
    recordings = list(recordings)
    for name in {r.split for r in recordings} - {"", UNLABELLED}:
        plain_name(name, "set")
    labelled = [r for r in recordings if r.labels and r.split != UNLABELLED]
    rest = [r for r in recordings if not r.labels or r.split == UNLABELLED]
    sets: dict[str, list[Recording]] = {}
    folds = sorted({r.fold for r in labelled if r.fold})
    for fold in folds:
        plain_name(fold, "fold")
        train = [r for r in labelled if r.fold != fold]
        sets |= {f"pool_fold{fold}": train + rest, f"train_fold{fold}": train}
        sets[f"test_fold{fold}"] = [r for r in labelled if r.fold == fold]
    if not folds:
        sets[UNLABELLED] = [r for r in labelled if r.split == "train"] + rest
        for recording in labelled:
            sets.setdefault(recording.split, []).append(recording)
    return sets
