"""metrics.json: one scored run, described by tags that the report groups by."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from asit.errors import AsitError, excerpt, nearest
from asit.io import atomic, json_object
from asit.io.atomic import write_text

NAME = "metrics.json"
REMEDY = "score the run again"
LOWER_IS_BETTER = frozenset({"eer"})  # primary metrics; of all others more is better


@dataclass(frozen=True)
class Record:
    """One system scored on one set.

    ``tags`` are the run's coordinates (task, system, labels, seed, …); ``metric`` names the primary one of
    ``metrics``; ``clips`` of ``expected`` utterances were scored; ``trivial`` may hold chance and majority.
    """

    tags: dict[str, str]
    metric: str
    metrics: dict[str, float]
    clips: int
    expected: int
    train_clips: int = 0
    seconds: float = 0.0
    trivial: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The primary metric."""
        return self.metrics[self.metric]


_KINDS = {
    "tags": dict,
    "metric": str,
    "metrics": dict,
    "clips": int,
    "expected": int,
    "train_clips": int,
    "seconds": float,
    "trivial": dict,
    "provenance": dict,
}


def parse_tags(words: Sequence[str]) -> dict[str, str]:
    """``["system=pretrained", "labels=10%"]`` as a dictionary.

    Raises:
        AsitError: a word without "=", an empty name, a name given twice.

    >>> parse_tags(["system=pretrained", "labels=10%"])
    {'system': 'pretrained', 'labels': '10%'}
    """
    tags: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise AsitError(f"option 'tags': expected name=value, found '{word}'")
        if name in tags:
            raise AsitError(f"option 'tags': '{name}' is given twice")
        tags[name] = value
    return tags


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all; a nan or infinity becomes null, which JSON has a word for."""
    write_text(path, json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def save(path: str | os.PathLike[str], record: Record) -> None:
    """Write ``record`` as metrics.json."""
    write_json(path, asdict(record))


def load(path: str | os.PathLike[str]) -> Record:
    """Read metrics.json.

    Raises:
        AsitError: unreadable, not JSON, a field that is missing, unknown or of another type.
    """
    path = os.fspath(path)
    content = json_object.load(path, REMEDY)
    for name in content:
        if name not in _KINDS:
            raise AsitError(f"{path}: unknown field '{excerpt(name)}': {nearest(name, _KINDS)}")
    for name, kind in _KINDS.items():
        if name in content or name in ("tags", "metric", "metrics", "clips", "expected"):
            json_object.member(content, name, kind, path, REMEDY)
    for name in content["tags"]:
        json_object.member(content["tags"], name, str, f"{path}: tags", REMEDY)
    for group in ("metrics", "trivial"):
        values = {k: math.nan if v is None else v for k, v in content.get(group, {}).items()}
        content[group] = {name: json_object.member(values, name, float, f"{path}: {group}", REMEDY) for name in values}
    for name in ("clips", "expected", "train_clips"):
        if content.get(name, 0) < 0:
            raise AsitError(f"{path}: '{name}': expected a number from 0 on, found {content[name]}; {REMEDY}")
    if content["metric"] not in content["metrics"]:
        raise AsitError(f"{path}: 'metrics' has no '{excerpt(content['metric'])}'; {REMEDY}")
    return Record(**content)


def discard(folder: str | os.PathLike[str]) -> None:
    """Remove a folder's metrics.json, as whoever scores does first: no old score outlives a new one's failure. What a
    scoring that was killed left half-written goes too."""
    atomic.remove(os.path.join(folder, NAME))
    atomic.sweep(folder)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
