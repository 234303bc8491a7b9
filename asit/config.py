"""Typed settings: each option is written once, as a field of a frozen dataclass.

A command's settings are one dataclass. Its fields are

- ``option(default, help)``: one option; ``REQUIRED`` as default makes it mandatory;
- ``group(Other)``: another settings dataclass whose options join this command's;
- ``chosen(kind, default, help)``: the name of a component of ``asit.<kind>``, whose module's ``Settings``
  join the command's options once the name is known.

Option names are flat: ``embed_dim`` of a group is ``--embed-dim`` (or ``--embed_dim``), the YAML key
``embed_dim`` and the variable ``ASIT_EMBED_DIM``. Precedence: YAML file (``--config``) < environment <
command line. An unknown name anywhere is an error that names the nearest known one.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import configargparse
import yaml

from asit import registry
from asit.errors import AsitError, nearest

S = TypeVar("S")
REQUIRED: Any = dataclasses.MISSING
ENV_PREFIX = "ASIT_"


def option(default: Any, help: str, choices: Sequence[Any] | None = None) -> Any:
    """A field that is one option. Its annotation gives the type: int, float, str, bool, ``X | None``
    (written ``none``) or ``tuple[X, ...]`` (written as several words, or a YAML list)."""
    metadata = {"help": help, "choices": choices}
    if default is REQUIRED:
        return dataclasses.field(metadata=metadata, kw_only=True)
    return dataclasses.field(default=default, metadata=metadata)


def group(settings: type) -> Any:
    """A field that holds another settings dataclass."""
    required = any(_is_required(f) for f in _options(settings))
    if required:
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


def parse(settings: type[S], argv: Sequence[str] | None = None, prog: str | None = None) -> S:
    """Settings from YAML files, environment and command line.

    Exits with 0 after ``--help`` and with 2 on a wrong option, as argparse does.

    Raises:
        AsitError: an unreadable or malformed configuration file, an unknown key in it, a bad value.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    argv = [_dashed(a) for a in argv]
    files = _config_files(argv)
    yaml_values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for path in files:
        for key, (value, where) in read_yaml(path).items():
            yaml_values[key], origin[key] = value, where
    names = _chosen_names(settings, argv, yaml_values)
    fields = _flatten(settings, names)
    for key in yaml_values:
        if key not in fields:
            raise AsitError(f"{origin[key]}: unknown option '{key}': {nearest(key, fields)}")
    parser = _parser(settings, fields, prog)
    argv = _yaml_as_words(yaml_values, fields, argv) + argv
    known, extra = parser.parse_known_args(argv)
    if extra:
        words = [w for w in extra if w.startswith("-")] or extra
        shown = words[0].split("=")[0]
        parser.error(f"unknown option '{shown}': {nearest(shown, ['--' + n.replace('_', '-') for n in fields])}")
    values = {k: v for k, v in vars(known).items() if k in fields}
    for key, value in values.items():
        if isinstance(value, list):
            values[key] = tuple(value)
    missing = [n for n, f in fields.items() if _is_required(f) and n not in values]
    if missing:
        parser.error("missing " + ", ".join("--" + n.replace("_", "-") for n in missing) + "; see --help")
    return from_dict(settings, values)


def from_dict(settings: type[S], values: Mapping[str, Any]) -> S:
    """Settings from flat names, as :func:`to_dict` writes them; absent names take their defaults.

    Raises:
        AsitError: a name that the settings do not have, or a value of the wrong type.
    """
    values = dict(values)
    fields = _flatten(settings, _chosen_names(settings, [], values))
    for key in values:
        if key not in fields:
            raise AsitError(f"unknown option '{key}': {nearest(key, fields)}")
    return _build(settings, values)


def to_dict(settings: Any) -> dict[str, Any]:
    """Flat, YAML-friendly dictionary of the settings (tuples become lists)."""
    flat: dict[str, Any] = {}
    for f in dataclasses.fields(settings):
        value = getattr(settings, f.name)
        if "group" in f.metadata:
            flat.update(to_dict(value))
        elif "kind" in f.metadata:
            flat[f.name] = value.name
            flat.update(to_dict(value.settings))
        else:
            flat[f.name] = list(value) if isinstance(value, tuple) else value
    return flat


def read_yaml(path: str) -> dict[str, tuple[Any, str]]:
    """Top-level keys of a YAML mapping: name (with underscores) -> (value, "file:line").

    Raises:
        AsitError: missing file, invalid YAML, not a mapping, a key given twice.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except OSError as error:
        raise AsitError(f"{path}: cannot read the configuration: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise AsitError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise AsitError(f"{path}:1: expected 'option: value' lines, found a {node.tag.split(':')[-1]}")
    found: dict[str, tuple[Any, str]] = {}
    for key_node, _ in node.value:
        raw = key_node.value
        key, where = str(raw).replace("-", "_"), f"{path}:{key_node.start_mark.line + 1}"
        if key in found:
            raise AsitError(f"{where}: option '{raw}' is given twice; keep one")
        found[key] = (content[yaml.safe_load(raw) if raw not in content else raw], where)
    return found


# --- internals -------------------------------------------------------------------------------------


def _options(settings: type) -> list[dataclasses.Field]:
    return [f for f in dataclasses.fields(settings) if "group" not in f.metadata]


def _is_required(f: dataclasses.Field) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and "group" not in f.metadata


def _dashed(word: str) -> str:
    """``--foo_bar=v`` -> ``--foo-bar=v``; values stay as they are."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def _config_files(argv: list[str]) -> list[str]:
    pre = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    pre.add_argument("--config", action="append", default=[])
    return pre.parse_known_args(argv)[0].config


def _chosen_names(settings: type, argv: list[str], yaml_values: Mapping[str, Any]) -> dict[str, str]:
    """Which component each ``chosen`` field names, before the options of that component are known."""
    names: dict[str, str] = {}
    for f in dataclasses.fields(settings):
        if "group" in f.metadata:
            names.update(_chosen_names(f.metadata["group"], argv, yaml_values))
        if "kind" not in f.metadata:
            continue
        pre = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        pre.add_argument("--" + f.name.replace("_", "-"), dest="name")
        given = pre.parse_known_args(argv)[0].name
        fallback = yaml_values.get(f.name, f.metadata["default"])
        names[f.name] = given or os.environ.get(ENV_PREFIX + f.name.upper()) or str(fallback)
        component = registry.load(f.metadata["kind"], names[f.name])  # which may hold choices of its own
        names.update(_chosen_names(component.Settings, argv, yaml_values))
    return names


def _flatten(settings: type, names: Mapping[str, str]) -> dict[str, dataclasses.Field]:
    """All options of a command by flat name; a name defined twice is a bug of the command."""
    flat: dict[str, dataclasses.Field] = {}
    for f in dataclasses.fields(settings):
        if "group" in f.metadata:
            inner = _flatten(f.metadata["group"], names)
        elif "kind" in f.metadata:
            component = registry.load(f.metadata["kind"], names[f.name])
            inner = {f.name: f, **_flatten(component.Settings, names)}
        else:
            inner = {f.name: _resolved(settings, f)}
        twice = flat.keys() & inner.keys()
        assert not twice, f"{settings.__name__}: options defined twice: {sorted(twice)}"
        flat.update(inner)
    return flat


def _resolved(settings: type, f: dataclasses.Field) -> dataclasses.Field:
    """The field with its annotation as a type (annotations are strings under PEP 563)."""
    f.type = typing.get_type_hints(settings)[f.name]
    return f


def _scalar(annotation: Any) -> tuple[type, bool, bool]:
    """(element type, is a tuple, may be none) of an annotation."""
    if isinstance(annotation, types.UnionType):
        inner = [a for a in typing.get_args(annotation) if a is not type(None)]
        element, many, _ = _scalar(inner[0])
        return element, many, True
    if typing.get_origin(annotation) is tuple:
        return typing.get_args(annotation)[0], True, False
    return annotation, False, False


def _convert(annotation: Any):  # noqa: ANN202 - a converter whose name argparse prints
    element, _, optional = _scalar(annotation)

    def convert(word: str) -> Any:
        if optional and word.lower() in ("none", "null", ""):
            return None
        if element is bool:
            if word.lower() not in ("true", "false"):
                raise argparse.ArgumentTypeError(f"expected true or false, found '{word}'")
            return word.lower() == "true"
        try:
            return element(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected {element.__name__}, found '{word}'") from None

    return convert


def _parser(settings: type, fields: Mapping[str, dataclasses.Field], prog: str | None) -> configargparse.ArgParser:
    parser = configargparse.ArgParser(
        prog=prog,
        description=(settings.__doc__ or "").strip().split("\n\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
        add_env_var_help=False,
        epilog=f"Every option may also stand in a YAML file or in the environment as {ENV_PREFIX}OPTION.",
    )
    parser.add_argument("--config", action="append", help="YAML file of options; may be given several times")
    for name, f in fields.items():
        flag = "--" + name.replace("_", "-")
        if "kind" in f.metadata:
            known = registry.names(f.metadata["kind"])
            parser.add_argument(
                flag,
                default=f.metadata["default"],
                choices=known,
                help=f.metadata["help"],
                env_var=ENV_PREFIX + name.upper(),
            )
            continue
        _, many, _ = _scalar(f.type)
        parser.add_argument(
            flag,
            type=_convert(f.type),
            nargs="+" if many else None,
            default=argparse.SUPPRESS if _is_required(f) else f.default,
            choices=f.metadata["choices"],
            help=_help(f),
            metavar=None if f.metadata["choices"] else _metavar(f.type),
            env_var=ENV_PREFIX + name.upper(),
        )
    return parser


def _help(f: dataclasses.Field) -> str:
    text = f.metadata["help"].replace("%", "%%")
    return text + " (required)" if _is_required(f) else text


def _metavar(annotation: Any) -> str:
    return _scalar(annotation)[0].__name__.upper()


def _yaml_as_words(values: Mapping[str, Any], fields: Mapping[str, dataclasses.Field], argv: list[str]) -> list[str]:
    """YAML values as command-line words, so that one converter checks all sources.

    A name that the environment or the command line gives is left out: those win.
    """
    given = {a.split("=")[0] for a in argv if a.startswith("--")}
    words: list[str] = []
    for key, value in values.items():
        flag = "--" + key.replace("_", "-")
        if flag in given or ENV_PREFIX + key.upper() in os.environ:
            continue
        many = "kind" not in fields[key].metadata and _scalar(fields[key].type)[1]
        if isinstance(value, list) and many:
            words += [flag, *map(_yaml_word, value)]
        else:
            words.append(f"{flag}={_yaml_word(value)}")
    return words


def _yaml_word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)


def _build(settings: type[S], values: dict[str, Any]) -> S:
    arguments: dict[str, Any] = {}
    for f in dataclasses.fields(settings):
        if "group" in f.metadata:
            arguments[f.name] = _build(f.metadata["group"], values)
        elif "kind" in f.metadata:
            name = values.get(f.name, f.metadata["default"])
            arguments[f.name] = Chosen(name, _build(registry.load(f.metadata["kind"], name).Settings, values))
        elif f.name in values:
            arguments[f.name] = _typed(_resolved(settings, f), values[f.name])
    try:
        return settings(**arguments)
    except TypeError as error:
        raise AsitError(f"{settings.__name__}: {error}") from None


def _typed(f: dataclasses.Field, value: Any) -> Any:
    element, many, optional = _scalar(f.type)
    if value is None and optional:
        return None
    elements = list(value) if many and isinstance(value, (list, tuple)) else [value]
    for i, item in enumerate(elements):
        if element is float and isinstance(item, int) and not isinstance(item, bool):
            elements[i] = float(item)
        elif not isinstance(item, element) or (element is int and isinstance(item, bool)):
            raise AsitError(f"option '{f.name}': expected {element.__name__}, found {item!r}")
    if f.metadata["choices"] and any(e not in f.metadata["choices"] for e in elements):
        raise AsitError(f"option '{f.name}': expected one of {list(f.metadata['choices'])}, found {value!r}")
    return tuple(elements) if many else elements[0]
