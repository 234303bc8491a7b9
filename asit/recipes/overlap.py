"""What sets should not share: speakers, and recordings of the same content."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Sequence

from asit.io.checksum import hash_of
from asit.recipes.recording import Recording, speaker_id
from asit.recipes.sets import UNLABELLED

logger = logging.getLogger(__name__)

HEAD = 1 << 16  # bytes that are compared before whole files are


def tell_overlap(recordings: Sequence[Recording], where: str) -> None:
    """Warn of speakers and of content that two sets, or two folds, have in common."""
    by_speaker: dict[str, dict[str, str]] = defaultdict(dict)
    of_speakers = all(r.labels == (r.speaker,) or speaker_id("".join(r.labels)) == r.speaker for r in recordings)
    for r in recordings:
        if r.labels and r.speaker and not of_speakers:
            by_speaker[r.speaker].setdefault(_place(r), r.path)
    shared = {speaker: places for speaker, places in by_speaker.items() if len(places) > 1}
    if shared:
        name, places = min(shared.items())
        logger.warning(
            "%s: %d of %d speakers are in more than one set, such as '%s' in %s: scores are of known voices",
            where,
            len(shared),
            len(by_speaker),
            name,
            " and ".join(sorted(places)),
        )
    twins = [group for group in _same_content(recordings) if len({_place(r) for r in group}) > 1]
    if twins:
        first, second = next((a, b) for a in twins[0] for b in twins[0] if _place(a) < _place(b))
        logger.warning(
            "%s: %d recordings are in more than one set under other names, such as %s (%s) and %s (%s): what is "
            "trained on is scored; remove one of each",
            where,
            len(twins),
            first.path,
            _place(first),
            second.path,
            _place(second),
        )


def _place(recording: Recording) -> str:
    """Its set or fold."""
    return f"fold {recording.fold}" if recording.fold else recording.split or UNLABELLED


def _same_content(recordings: Sequence[Recording]) -> list[list[Recording]]:
    """Groups of recordings whose files are equal: by size, then by their heads, then whole."""
    groups = [list(recordings)]
    for key in (_size, _head, _hash):
        split = []
        for group in groups:
            found: dict[object, list[Recording]] = defaultdict(list)
            for r in group:
                found[key(r)].append(r)
            split += [same for value, same in found.items() if len(same) > 1 and value is not None]
        groups = split
    return groups


def _size(recording: Recording) -> int | None:
    try:
        return os.path.getsize(recording.path)
    except OSError:
        return None  # reported where it is read


def _head(recording: Recording) -> bytes | None:
    try:
        with open(recording.path, "rb") as stream:
            return hashlib.sha256(stream.read(HEAD)).digest()
    except OSError:
        return None


def _hash(recording: Recording) -> str | None:
    try:
        return hash_of(recording.path)
    except OSError:
        return None
