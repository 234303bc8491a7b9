"""Options in YAML files, each remembered with its file and line."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, TypeVar

import yaml

from asit.config.fields import chosen_names, flatten, from_dict, kind
from asit.config.values import from_yaml
from asit.errors import AsitError, nearest

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
            raise AsitError(f"{place}: unknown option '{key}': {nearest(key, fields)}")
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
        AsitError: missing file, invalid YAML, not a mapping, a key given twice.
    """
    path = os.fspath(path)
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        loader = yaml.SafeLoader(text)
        try:
            return _top_level(path, loader)
        finally:
            loader.dispose()
    except OSError as error:
        raise AsitError(f"{path}: cannot read the configuration: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise AsitError(f"{path}: expected UTF-8 text, found byte {error.object[error.start]:#04x}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise AsitError(f"{path}{line}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-02-31
        raise AsitError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def entry(kind: type[S], values: Any, where: str) -> S:
    """A dataclass from one entry of a list in a YAML file, such as a run of ``conf/runs.yaml``; values as they are.

    Raises:
        AsitError: no mapping, an unknown or missing name; ``where`` is the entry's place.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(values, dict):
        raise AsitError(f"{where}: expected names with values ({', '.join(fields)}), found {values!r}")
    for name in values:
        if name not in fields:
            raise AsitError(f"{where}: unknown name '{name}': {nearest(str(name), fields)}")
    for name, field in fields.items():
        if name not in values and field.default is dataclasses.MISSING:
            raise AsitError(f"{where}: '{name}' is missing")
    return kind(**values)


def _top_level(path: str, loader: yaml.SafeLoader) -> dict[str, tuple[Any, str]]:
    node = loader.get_single_node()
    if node is None or node.tag == "tag:yaml.org,2002:null":  # an empty file, or ---
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise AsitError(f"{path}:1: expected 'option: value' lines, found {_KINDS.get(type(node), 'a value')}")
    found: dict[str, tuple[Any, str]] = {}
    for key_node, value_node in node.value:
        where = f"{path}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode):
            raise AsitError(f"{where}: expected an option's name, found {_KINDS[type(key_node)]}")
        key = key_node.value.replace("-", "_")
        if key in found:
            raise AsitError(f"{where}: option '{key_node.value}' is given twice; keep one")
        found[key] = (loader.construct_object(value_node, deep=True), where)
    return found


_KINDS = {yaml.ScalarNode: "text", yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}
