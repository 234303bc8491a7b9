"""Fields of settings dataclasses, and settings from and to flat dictionaries."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from asit import registry
from asit.config.former import hint
from asit.config.values import Kind, Limits, checked, kind_of, shown
from asit.errors import AsitError, excerpt

S = TypeVar("S")
REQUIRED: Any = dataclasses.MISSING


@dataclass(frozen=True)
class Options:
    """Base of all settings. Types, ranges and choices hold however the object is made: from a file, a command line or
    Python. A subclass with a ``__post_init__`` of its own, for what options must be together, calls this one first.

    Raises:
        AsitError: a value of the wrong type, out of range or not among the choices.
    """

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            if "limits" in f.metadata:
                try:
                    value = checked(kind(_resolved(type(self), f)), getattr(self, f.name))
                except ValueError as error:
                    raise AsitError(f"option '{f.name}': {error}") from None
                object.__setattr__(self, f.name, value)  # the one way into a frozen dataclass


def option(
    default: Any,
    help: str,
    choices: Sequence[Any] | None = None,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    counts: Sequence[int] | None = None,
    free: bool = False,
    positional: bool = False,
) -> Any:
    """A field that is one option. Its annotation gives the type: int, float, str, bool, ``X | None`` (written
    ``none``) or ``tuple[X, ...]`` (written as several words, or a YAML list). Numbers are finite, from ``least`` (or
    ``above`` it) to ``most`` (or ``below`` it), where these are given. ``counts``: how many
    values a tuple may have. ``free``: the option says how or where a run is carried out, not what it computes, so that
    a resumed run may change it. ``positional``: a word of the command line without a name goes here, as in Kaldi's
    tools."""
    limits = Limits(least, above, most, below)
    metadata = {"help": help, "choices": choices, "limits": limits, "counts": counts}
    metadata |= {"free": free, "positional": positional}
    if default is REQUIRED:
        return dataclasses.field(metadata=metadata, kw_only=True)
    return dataclasses.field(default=default, metadata=metadata)


def group(settings: type) -> Any:
    """A field that holds another settings dataclass."""
    if any(_has_no_default(f) for f in dataclasses.fields(settings)):
        return dataclasses.field(metadata={"group": settings}, kw_only=True)
    return dataclasses.field(default_factory=settings, metadata={"group": settings})


@dataclass(frozen=True)
class Chosen:
    """A component picked by name: ``asit.<kind>.<name>`` and that module's ``Settings``."""

    name: str
    settings: Any


def chosen(kind: str, default: str, help: str) -> Any:
    """A field that holds a :class:`Chosen` of ``asit.<kind>``. The option carries the field's name."""

    def make() -> Chosen:
        return Chosen(default, registry.load(kind, default).Settings())

    return dataclasses.field(default_factory=make, metadata={"kind": kind, "default": default, "help": help})


def from_dict(settings: type[S], values: Mapping[str, Any]) -> S:
    """Settings from flat names, as :func:`to_dict` writes them; absent names take their defaults.

    Raises:
        AsitError: a name that the settings do not have, a required one that is missing, or a value of the wrong type.
    """
    fields = flatten(settings, chosen_names(settings, values))
    for key in values:
        if key not in fields:
            raise AsitError(f"unknown option '{excerpt(key)}': {hint(key, fields)}")
    return _build(settings, values)


def to_dict(settings: Any, free: bool = True) -> dict[str, Any]:
    """Flat, YAML-friendly dictionary of the settings (tuples become lists); with ``free`` false without the options
    that do not change what is computed."""
    flat: dict[str, Any] = {}
    for f in dataclasses.fields(settings):
        value = getattr(settings, f.name)
        if "group" in f.metadata:
            flat.update(to_dict(value, free))
        elif "kind" in f.metadata:
            flat[f.name] = value.name
            flat.update(to_dict(value.settings, free))
        elif free or not f.metadata["free"]:
            single = isinstance(value, tuple) and len(value) == 1 and f.metadata["counts"]
            flat[f.name] = value[0] if single else list(value) if isinstance(value, tuple) else value
    return flat


def chosen_names(settings: type, given: Mapping[str, Any], where: Mapping[str, str] | None = None) -> dict[str, str]:
    """Which component each ``chosen`` field names, also those inside groups and inside chosen components.

    Raises:
        AsitError: there is no such component; the message begins with ``where`` its name was given.
    """
    where = where or {}
    names: dict[str, str] = {}
    for f in dataclasses.fields(settings):
        if "group" in f.metadata:
            names.update(chosen_names(f.metadata["group"], given, where))
        elif "kind" in f.metadata:
            name = given.get(f.name, f.metadata["default"])
            try:
                if not isinstance(name, str):
                    raise AsitError(f"option '{f.name}': expected a name, found {shown(name)}")
                names[f.name] = name
                component = registry.load(f.metadata["kind"], name)
            except AsitError as error:
                raise AsitError(where.get(f.name, "") + str(error)) from None
            names.update(chosen_names(component.Settings, given, where))
    return names


def flatten(settings: type, names: Mapping[str, str]) -> dict[str, dataclasses.Field]:
    """All options by flat name, given the components of :func:`chosen_names`."""
    if not issubclass(settings, Options):
        raise TypeError(f"{settings.__module__}.{settings.__name__}: derive it from asit.config.Options")
    flat: dict[str, dataclasses.Field] = {}
    for f in dataclasses.fields(settings):
        if "group" in f.metadata:
            inner = flatten(f.metadata["group"], names)
        elif "kind" in f.metadata:
            component = registry.load(f.metadata["kind"], names[f.name])
            inner = {f.name: f, **flatten(component.Settings, names)}
        else:
            inner = {f.name: _resolved(settings, f)}
        twice = flat.keys() & inner.keys()
        if twice:
            raise TypeError(f"{settings.__name__}: options defined twice: {sorted(twice)}")
        flat.update(inner)
    return flat


def is_required(f: dataclasses.Field) -> bool:
    """Whether the field is an option without a default."""
    return "group" not in f.metadata and _has_no_default(f)


def kind(f: dataclasses.Field) -> Kind:
    """What the option accepts; a choice of component is text."""
    if "kind" in f.metadata:
        return Kind(str, choices=registry.names(f.metadata["kind"]))
    return kind_of(f.type)._replace(**{name: f.metadata[name] for name in ("choices", "limits", "counts")})


def default(f: dataclasses.Field) -> Any:
    """The default of an option that is not required; of a choice the component's name."""
    return f.metadata["default"] if "kind" in f.metadata else f.default


def _has_no_default(f: dataclasses.Field) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


@functools.cache
def _annotations(settings: type) -> dict[str, Any]:
    return typing.get_type_hints(settings)


def _resolved(settings: type, f: dataclasses.Field) -> dataclasses.Field:
    """The field with its annotation as a type (annotations are strings under PEP 563)."""
    f.type = _annotations(settings)[f.name]
    return f


def _build(settings: type[S], values: Mapping[str, Any]) -> S:
    arguments: dict[str, Any] = {}
    for f in dataclasses.fields(settings):
        if "group" in f.metadata:
            arguments[f.name] = _build(f.metadata["group"], values)
        elif "kind" in f.metadata:
            name = values.get(f.name, f.metadata["default"])
            arguments[f.name] = Chosen(name, _build(registry.load(f.metadata["kind"], name).Settings, values))
        elif f.name in values:
            arguments[f.name] = values[f.name]
        elif is_required(f):
            raise AsitError(f"option '{f.name}' is missing: {f.metadata['help']}")
    return settings(**arguments)
