"""Options in YAML files, each remembered with its file and line."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, TypeVar

from asit.config.fields import chosen_names, flatten, from_dict, kind
from asit.config.former import hint
from asit.config.values import from_yaml, shown
from asit.config.yaml_text import compose
from asit.errors import AsitError, excerpt, nearest

S = TypeVar("S")


def load(settings: type[S], path: str | os.PathLike[str]) -> S:
    """Settings from one YAML file, such as those that :func:`to_dict` left beside a result.

    Raises:
        AsitError: see :func:`read_yaml`; an unknown or missing name, a wrong value. The file is named.
    """
    found = read_yaml(path)
    where = {key: f"{place}: " for key, (_, place) in found.items()}
    names = chosen_names(settings, {key: value for key, (value, _) in found.items()}, where)
    fields = flatten(settings, names)
    values = {}
    for key, (value, place) in found.items():
        if key not in fields:
            raise AsitError(f"{place}: unknown option '{excerpt(key)}': {hint(key, fields)}")
        values[key] = yaml_value(fields[key], key, value, place)
    try:
        return from_dict(settings, values)
    except AsitError as error:
        raise AsitError(f"{os.fspath(path)}: {error}") from None


def yaml_value(field: Any, key: str, value: Any, where: str) -> Any:
    """The value of an option's field from YAML.

    Raises:
        AsitError: a wrong type or choice, with the file and line.
    """
    try:
        return from_yaml(kind(field), value)
    except ValueError as error:
        raise AsitError(f"{where}: option '{key}': {error}") from None


def read_yaml(path: str | os.PathLike[str]) -> dict[str, tuple[Any, str]]:
    """Top-level keys of a YAML mapping: name (with underscores) -> (value, "file:line").

    Raises:
        AsitError: see :func:`asit.config.yaml_text.compose`; not a mapping, a key that is no text.
    """
    path = os.fspath(path)
    found: dict[str, tuple[Any, str]] = {}
    for key, value, line in compose(path):
        where = f"{path}:{line}"
        name = key.replace("-", "_")
        if name in found:
            raise AsitError(f"{where}: option '{excerpt(key)}' is given twice; keep one")
        found[name] = (value, where)
    return found


def entry(kind: type[S], values: Any, where: str) -> S:
    """A dataclass from one entry of a list in a YAML file, such as a run of ``conf/runs.yaml``; values as they are.

    Raises:
        AsitError: no mapping, an unknown or missing name; ``where`` is the entry's place.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(values, dict):
        raise AsitError(f"{where}: expected names with values ({', '.join(fields)}), found {shown(values)}")
    for name in values:
        if name not in fields:
            raise AsitError(f"{where}: unknown name '{excerpt(name)}': {nearest(excerpt(name), fields)}")
    for name, field in fields.items():
        if name not in values and field.default is dataclasses.MISSING:
            raise AsitError(f"{where}: '{name}' is missing")
    return kind(**values)
