"""The second columns of a data directory's tables: what they mean and what is wrong with them."""

from __future__ import annotations

import math
from typing import NamedTuple

from asit.errors import excerpt
from asit.kaldi.table import MOST_DIGITS, key_problem

NO_LABEL = "-"  # in utt2label: none of the classes, for tagging
MOST_SECONDS = 1e9  # thirty years: a longer time is a mistake, and samples could no longer be counted in 64 bits
_ILLEGAL_WORDS = {"<s>", "</s>", "#0"}


class Segment(NamedTuple):
    """A stretch of a recording, in seconds."""

    recording: str
    start: float
    end: float


def label_problem(label: str) -> str | None:
    """What is wrong with a label, or None."""
    if "," in label:
        return f"label '{excerpt(label)}' holds a comma, which separates labels in utt2label"
    if label == NO_LABEL:
        return f"label '{NO_LABEL}' means that a clip has none of the labels"
    return key_problem(label)


def parse_count(text: str) -> int:
    """A whole number from 0 on, in ASCII digits alone; ``int`` also takes ``1_0`` and the digits of all scripts.

    Raises ValueError with the reason.
    """
    if not text.isascii() or not text.isdigit() or len(text) > MOST_DIGITS:
        raise ValueError(f"expected a whole number of at most {MOST_DIGITS} digits, found '{excerpt(text)}'")
    return int(text)


def parse_number(text: str) -> float:
    """A finite number, in ASCII. Raises ValueError with the reason."""
    try:
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"expected a number, found '{excerpt(text)}'")
    return number


def parse_segment(value: str) -> Segment:
    """``recording start end``. Raises ValueError with the reason."""
    words = value.split()
    if len(words) != 3:
        raise ValueError(f"expected 'recording start end', found '{excerpt(value)}'")
    segment = Segment(words[0], parse_number(words[1]), parse_number(words[2]))
    if not 0 <= segment.start < segment.end <= MOST_SECONDS:
        raise ValueError(
            f"expected 0 <= start < end in seconds, up to {MOST_SECONDS:g}, found {excerpt(words[1])} and "
            f"{excerpt(words[2])}"
        )
    return segment


def parse_duration(value: str) -> float:
    """Seconds. Raises ValueError with the reason."""
    seconds = parse_number(value)
    if not 0 < seconds <= MOST_SECONDS:
        most = f", at most {MOST_SECONDS:g}" if seconds > 0 else ""
        raise ValueError(f"expected a positive number of seconds{most}, found {excerpt(value)}")
    return seconds


def parse_frames(value: str) -> int:
    """A number of frames. Raises ValueError with the reason."""
    frames = parse_count(value)
    if frames == 0:
        raise ValueError("expected a positive number of frames, found 0")
    return frames


def parse_labels(value: str) -> tuple[str, ...]:
    """``a`` or ``a,b``; ``-`` is no label at all, (). Raises ValueError with the reason."""
    if value == NO_LABEL:
        return ()
    labels = tuple(value.split(","))
    if "" in labels:
        raise ValueError(f"an id is empty in '{excerpt(value)}'; '{NO_LABEL}' alone is a clip without labels")
    if len(set(labels)) != len(labels):
        raise ValueError(f"a label is given twice in '{excerpt(value)}'")
    for label in labels:
        problem = label_problem(label)
        if problem:
            raise ValueError(f"{problem} (labels are separated by a comma alone)")
    return labels


def check_speaker(value: str) -> None:
    """A speaker id. Raises ValueError with the reason."""
    problem = key_problem(value)
    if problem:
        raise ValueError(f"expected one speaker id: {problem}")


def check_gender(value: str) -> None:
    """Kaldi's spk2gender. Raises ValueError with the reason."""
    if value not in ("m", "f"):
        raise ValueError(f"expected m or f, found '{excerpt(value)}'")


def check_warp(value: str) -> None:
    """Kaldi's spk2warp and utt2warp. Raises ValueError with the reason."""
    if not 0.5 < parse_number(value) < 1.5:
        raise ValueError(f"expected a number between 0.5 and 1.5, found {excerpt(value)}")


def check_text(value: str) -> None:
    """Kaldi's rules for transcripts: printable, no white space but blank and tab, no symbols of the decoder.

    Raises ValueError with the reason.
    """
    if not value.replace("\t", " ").isprintable():
        odd = next(c for c in value if c != "\t" and not c.isprintable())
        raise ValueError(f"character U+{ord(odd):04X} is not printable or a special white space; remove it")
    illegal = _ILLEGAL_WORDS & set(value.split())
    if illegal:
        raise ValueError(f"holds the symbol {min(illegal)}, which decoders use themselves; remove it")
