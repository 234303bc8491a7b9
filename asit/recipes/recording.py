"""One clip of a corpus, and the ids that it and its speaker get: distinct, and in the order that Kaldi asks for."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asit.kaldi.column_values import NO_LABEL


@dataclass(frozen=True)
class Recording:
    """One clip; no labels: for pretraining only; ``("-",)``: none of the tags. ``name`` is the utterance id without
    the speaker.
    """

    path: str
    labels: tuple[str, ...] = ()
    speaker: str = ""
    split: str = ""
    fold: str = ""
    name: str = ""

    @property
    def utt(self) -> str:
        """``<speaker>-<name>``, or the name alone."""
        name = identifier(self.called)
        return f"{speaker_id(self.speaker)}-{name}" if self.speaker else name

    @property
    def called(self) -> str:
        """``name``, or that of the file."""
        return self.name or Path(self.path).with_suffix("").name


def identifier(text: str) -> str:
    """``text`` as part of an utterance id: letters and numbers of any script, ``_``, ``.`` and ``-``.

    >>> identifier("a b/c"), identifier("犬 1"), identifier("कि")
    ('a_b_c', '犬_1', 'कि')
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
        text = "".join(c if c in "_.-" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
        return re.sub(" +", "_", text) or "_"
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text) or "_"


def speaker_id(text: str) -> str:
    """``text`` as a speaker's id: without ``-``, which sorts lowest of all characters of an id and ends the speaker
    in an utterance id. So utterances sorted by their ids are sorted by speaker too, even where one speaker's id is the
    beginning of another's.

    >>> speaker_id("anna-maria")
    'anna_maria'
    """
    return identifier(text).replace("-", "_")


def with_ids(recordings: Sequence[Recording]) -> list[Recording]:
    """The recordings with names and speakers of which every two that differ give different ids.

    Where two texts become the same id, those that had to be changed get a hash of the text at the end. A clip without a
    speaker among others that have one gets an id without ``-``: it is its own speaker, in order with the others.
    """
    speakers = distinct({r.speaker for r in recordings} - {""}, speaker_id)
    own = speaker_id if speakers else identifier
    names: dict[str, set[str]] = defaultdict(set)
    for r in recordings:
        names[r.speaker].add(r.called)
    ids = {speaker: distinct(texts, identifier if speaker else own) for speaker, texts in names.items()}
    return [replace(r, name=ids[r.speaker][r.called], speaker=speakers.get(r.speaker, "")) for r in recordings]


def is_tagging(recordings: Iterable[Recording]) -> bool:
    """Whether a clip may have several labels, or none of them."""
    return any(len(r.labels) > 1 or NO_LABEL in r.labels for r in recordings)


def classes_of(recordings: Iterable[Recording]) -> set[str]:
    """The labels that there are."""
    return {label for r in recordings for label in r.labels} - {NO_LABEL}


def distinct(texts: Iterable[str], clean: Callable[[str], str]) -> dict[str, str]:
    """text -> id."""
    texts = set(texts)
    count = Counter(map(clean, texts))
    found = {}
    for text in texts:
        made = clean(text)
        if count[made] > 1 and made != text:
            made += f"_{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        found[text] = made
    return found
