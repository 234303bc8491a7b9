"""metrics.json: one scored run, described by tags that the report groups by."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from asit.errors import AsitError, nearest
from asit.io.atomic import write_text

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
        AsitError: unreadable, not JSON, or not the form that :func:`save` writes.
    """
    path = os.fspath(path)
    try:
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
    except OSError as error:
        raise AsitError(f"{path}: cannot read: {error.strerror}") from None
    except ValueError as error:
        raise AsitError(f"{path}: not valid JSON: {error}; score the run again") from None
    if not isinstance(content, dict):
        raise AsitError(f"{path}: expected a JSON object, found {type(content).__name__}; score the run again")
    known = Record.__dataclass_fields__
    for name in content:
        if name not in known:
            raise AsitError(f"{path}: unknown field '{name}': {nearest(name, known)}")
    for name in ("tags", "metric", "metrics", "clips", "expected"):
        if name not in content:
            raise AsitError(f"{path}: field '{name}' is missing; score the run again")
    if content["metric"] not in content["metrics"]:
        raise AsitError(f"{path}: 'metrics' has no '{content['metric']}'; score the run again")
    for group in ("metrics", "trivial"):
        content[group] = {k: math.nan if v is None else v for k, v in content.get(group, {}).items()}
    return Record(**content)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
