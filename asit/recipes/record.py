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
from asit.metrics.metric import Metric

NAME = "metrics.json"
REMEDY = "score the run again"


@dataclass(frozen=True)
class Record:
    """One system scored on one set.

    ``tags`` are the run's coordinates (task, system, labels, seed, …); ``metric`` names the primary one of
    ``metrics``, of which ``declared`` says unit and direction; ``clips`` of ``expected`` utterances were scored;
    ``trivial`` may hold chance and majority, ``intervals`` the lower and upper end of 95 % intervals of ``metrics``.
    """

    tags: dict[str, str]
    metric: str
    metrics: dict[str, float]
    declared: tuple[Metric, ...]
    clips: int
    expected: int
    train_clips: int = 0
    seconds: float = 0.0
    trivial: dict[str, float] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    intervals: dict[str, list[float]] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The primary metric's value."""
        return self.metrics[self.metric]

    @property
    def primary(self) -> Metric:
        """The primary metric."""
        return next(metric for metric in self.declared if metric.name == self.metric)


_KINDS = {
    "tags": dict,
    "metric": str,
    "metrics": dict,
    "declared": list,
    "clips": int,
    "expected": int,
    "train_clips": int,
    "seconds": float,
    "trivial": dict,
    "provenance": dict,
    "intervals": dict,
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
        if name in content or name in ("tags", "metric", "metrics", "declared", "clips", "expected"):
            json_object.member(content, name, kind, path, REMEDY)
    for name in content["tags"]:
        json_object.member(content["tags"], name, str, f"{path}: tags", REMEDY)
    for group in ("metrics", "trivial"):
        values = {k: math.nan if v is None else v for k, v in content.get(group, {}).items()}
        content[group] = {name: json_object.member(values, name, float, f"{path}: {group}", REMEDY) for name in values}
    for name in ("clips", "expected", "train_clips"):
        if content.get(name, 0) < 0:
            raise AsitError(f"{path}: '{name}': expected a number from 0 on, found {content[name]}; {REMEDY}")
    for name, ends in content.get("intervals", {}).items():
        if not (isinstance(ends, list) and len(ends) == 2 and all(e is None or isinstance(e, float) for e in ends)):
            raise AsitError(
                f"{path}: intervals: '{excerpt(name)}': expected two numbers, found {excerpt(ends)}; {REMEDY}"
            )
        content["intervals"][name] = [math.nan if e is None else e for e in ends]
    content["declared"] = tuple(_metric(entry, f"{path}: declared") for entry in content["declared"])
    for name, known in (("metrics", content["metrics"]), ("declared", [m.name for m in content["declared"]])):
        if content["metric"] not in known:
            raise AsitError(f"{path}: '{name}' has no '{excerpt(content['metric'])}'; {REMEDY}")
    return Record(**content)


def _metric(entry: Any, where: str) -> Metric:
    if not isinstance(entry, dict) or sorted(entry) != ["better", "name", "unit"]:
        raise AsitError(f"{where}: expected objects of name, unit and better, found {excerpt(entry)}; {REMEDY}")
    try:
        return Metric(**{name: json_object.member(entry, name, str, where, REMEDY) for name in entry})
    except ValueError as error:
        raise AsitError(f"{where}: {error}; {REMEDY}") from None


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
