"""Settings of a command from its YAML files, the environment and its command line, through configargparse."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import configargparse

from asit import __version__, registry
from asit.config.fields import chosen_names, default, flatten, from_dict, is_required, kind
from asit.config.files import read_yaml, yaml_value
from asit.config.former import concerns, hint
from asit.config.values import Kind, from_words
from asit.errors import AsitError, excerpt

S = TypeVar("S")
ENV_PREFIX = "ASIT_"
BETWEEN = "\0"  # joins the words of one option: no word can hold it


def parse(settings: type[S], argv: Sequence[str] | None = None, prog: str | None = None) -> S:
    """Settings from YAML files, environment and command line.

    Of an option given twice on the command line, or in two files, the last one counts. Exits with 0 after ``--help``
    and ``--version``, and with 2 and one line on a wrong command line or variable.

    Raises:
        AsitError: an unreadable or malformed configuration file, an unknown key or a wrong value in it, values that
            do not go together.
    """
    parser = _Parser(
        prog=prog,
        description=(settings.__doc__ or "").strip().split("\n\n")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_env_var_help=False,
        epilog=f"Every option can also be set in a YAML file as option: value, or in the environment as {ENV_PREFIX}"
        "OPTION;\nthe command line wins over the environment, which wins over files.",
    )
    given = _options_of(list(sys.argv[1:] if argv is None else argv), parser)
    if any(name == "version" for name, _ in given):
        print(f"asit {__version__}")
        parser.exit()
    in_files: dict[str, tuple[Any, str]] = {}
    for path in [path for name, paths in given if name == "config" for path in paths]:
        in_files.update(read_yaml(path))
    names = chosen_names(settings, *_sources(given, in_files))
    fields = flatten(settings, names)
    _add_options(parser, fields)
    if any(name == "help" for name, _ in given):
        parser.print_help()
        parser.exit()
    for key, (_, where) in in_files.items():
        if key not in fields:
            raise AsitError(f"{where}: unknown option '{excerpt(key)}': {_hint(key, fields, names)}")
    given = _placed(given, fields, parser)
    words = []
    for name, values in given:
        if name not in fields and name != "config":
            parser.error(f"unknown option '{_flag(name)}': {_hint(name, fields, names, _flag)}")
        if name in fields:
            words.append(f"{_flag(name)}={BETWEEN.join(_counted(name, values, kind(fields[name]), parser))}")
    known = parser.parse_args(words, env_vars=_environment(fields, {name for name, _ in given}, parser))
    values = {key: yaml_value(fields[key], key, value, where) for key, (value, where) in in_files.items()}
    values |= {key: value for key, value in vars(known).items() if key in fields}
    missing = [_flag(name) for name, f in fields.items() if is_required(f) and name not in values]
    if missing:
        parser.error(f"missing {', '.join(missing)}; see --help")
    return from_dict(settings, values)


class _Parser(configargparse.ArgParser):
    def error(self, message: str, *_: Any) -> NoReturn:
        """One line: the usage of a command with sixty options would hide it."""
        self.exit(2, f"{self.prog}: error: {message.removeprefix('argument ')}\n")


def _flag(name: str) -> str:
    return name if name.startswith("-") else "--" + name.replace("_", "-")


def _options_of(argv: list[str], parser: _Parser) -> list[tuple[str, list[str]]]:
    """The words as (option name with underscores, its values): an option begins with two dashes and a value does
    not, unless it is joined to its option by ``=``. So negative numbers need no care."""
    found: list[tuple[str, list[str]]] = []
    for word in argv:
        if word == "-h":
            found.append(("help", []))
        elif word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            found.append((name.replace("-", "_"), [value] if equals else []))
        elif _is_short_option(word):
            found.append((word, []))
        elif found:
            found[-1][1].append(word)
        else:
            found.append(("", [word]))
    for name, values in found:
        if name == "config" and not values:
            parser.error("--config: expected a file")
    return found


def _placed(
    given: list[tuple[str, list[str]]], fields: Mapping[str, dataclasses.Field], parser: _Parser
) -> list[tuple[str, list[str]]]:
    """The same with words that belong to no option given to the positional ones, in order."""
    places = [name for name, f in fields.items() if f.metadata.get("positional")]
    found: list[tuple[str, list[str]]] = []
    free: list[str] = []
    for name, values in given:
        most = 0 if not name else 1 if places and name in fields and not kind(fields[name]).many else len(values)
        free += values[most:]
        if name:
            found.append((name, values[:most]))
    taken = [[word] for word in free]
    if places and kind(fields[places[-1]]).many and len(free) > len(places):  # the last one takes all that are left
        taken = [*taken[: len(places) - 1], free[len(places) - 1 :]]
    if len(taken) > len(places):
        parser.error(f"unexpected '{free[len(places)]}': options are written --name value; see --help")
    return found + list(zip(places, taken, strict=False))


def _is_short_option(word: str) -> bool:
    """``-nj``, which was meant as ``--nj``; not ``-1e-3``, ``-inf`` or ``-``."""
    try:
        float(word)
    except ValueError:
        return len(word) > 1 and word[0] == "-" and word[1].isalpha()
    return False


def _counted(name: str, values: list[str], kind: Kind, parser: _Parser) -> list[str]:
    """The values of an option, if they are as many as it takes."""
    if not values:
        parser.error(
            f"{_flag(name)}: expected {kind.expected} after it; a value that begins with -- is written "
            f"{_flag(name)}=--value"
        )
    if len(values) > 1 and not kind.many:
        shown = " ".join(repr(v) for v in values)
        parser.error(f"{_flag(name)}: expected one value, found {len(values)}: {shown}; quote a value with spaces")
    return values


def _sources(given: list[tuple[str, list[str]]], in_files: Mapping) -> tuple[dict[str, Any], dict[str, str]]:
    """What is given for any name, and where, to find the chosen components before their options are known."""
    values = {key: value for key, (value, _) in in_files.items()}
    where = {key: f"{where}: " for key, (_, where) in in_files.items()}
    for variable, value in os.environ.items():
        if variable.startswith(ENV_PREFIX):
            key = variable.removeprefix(ENV_PREFIX).lower()
            values[key], where[key] = value, f"environment variable {variable}: "
    for key, words in given:
        if key and words:
            values[key], where[key] = words[-1], f"{_flag(key)}: "
    return values, where


def _hint(
    name: str,
    fields: Mapping[str, dataclasses.Field],
    names: Mapping[str, str],
    spelled: Callable[[str], str] = str,
) -> str:
    """The component that an option belongs to if that is not the chosen one, else the nearest known name."""
    for choice, chosen in names.items():
        kind = fields[choice].metadata["kind"]
        for other in registry.names(kind):
            component = registry.load(kind, other).Settings
            if other != chosen and name in flatten(component, chosen_names(component, {})):
                return f"it belongs to {spelled(choice)} {other}, which is not chosen"
    return hint(name, fields, spelled)


def _environment(fields: Mapping[str, dataclasses.Field], given: set[str], parser: _Parser) -> dict[str, str]:
    """The variables that count, in the form of :func:`_add_options`; the words of a list are separated by spaces."""
    found = {}
    for variable in os.environ:
        name = variable.removeprefix(ENV_PREFIX).lower()
        if variable.startswith(ENV_PREFIX) and name not in fields and concerns(name, fields):
            parser.error(f"environment variable {variable}: no such option: {hint(name, fields)}")
    for name, f in fields.items():
        variable = ENV_PREFIX + name.upper()
        if name in given or variable not in os.environ:
            continue
        text = os.environ[variable]
        words = text.split() if kind(f).many else [text]
        try:
            from_words(kind(f), words)
        except ValueError as error:
            parser.error(f"environment variable {variable}: {error}")
        found[variable] = BETWEEN.join(words)
    return found


def _add_options(parser: _Parser, fields: Mapping[str, dataclasses.Field]) -> None:
    parser.add_argument("--config", metavar="FILE", help="YAML file of options; may be given several times")
    for name, f in fields.items():
        parser.add_argument(
            _flag(name),
            type=_converter(kind(f)),
            default=argparse.SUPPRESS,
            help=_help(f),
            metavar=_metavar(f),
            env_var=ENV_PREFIX + name.upper(),
        )
    required = [
        name.upper() if f.metadata.get("positional") else f"{_flag(name)} {_metavar(f)}"
        for name, f in fields.items()
        if is_required(f)
    ]
    parser.usage = " ".join(["%(prog)s", *required, "[--option value ...]"])


def _converter(kind: Kind) -> Any:
    def convert(joined: str) -> Any:
        words = joined.split(BETWEEN) if kind.many and joined else []
        try:
            return from_words(kind, words if kind.many else [joined])
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _help(f: dataclasses.Field) -> str:
    value = "(required)" if is_required(f) else f"(default: {_word(default(f))})"
    return f"{f.metadata['help']} {value}".replace("%", "%%")


def _metavar(f: dataclasses.Field) -> str:
    limited = kind(f).choices
    one = "{" + ",".join(map(str, limited)) + "}" if limited else kind(f).element.__name__.upper()
    return one + (" ..." if kind(f).many else "")


def _word(value: Any) -> str:
    """A default as one would write it."""
    if isinstance(value, tuple):
        return " ".join(map(_word, value)) or "none"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value) or "''"
