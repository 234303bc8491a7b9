"""JSON objects that come from a file: read to facts, or refused with the file's name."""

from __future__ import annotations

import json
import os
from typing import Any

from asit.errors import AsitError, excerpt

TYPES = {str: "text", int: "a whole number", float: "a number", dict: "an object", list: "a list"}
_FOUND = {**TYPES, bool: "true or false", type(None): "null"}


def parse(text: str, where: str, remedy: str) -> dict[str, Any]:
    """The object that a JSON text holds.

    Raises:
        AsitError: not JSON, nested too deeply for Python, numbers of thousands of digits, or no object.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise AsitError(f"{where}: not valid JSON: nested too deeply; {remedy}") from None
    except ValueError as error:
        raise AsitError(f"{where}: not valid JSON: {excerpt(error, 200)}; {remedy}") from None
    if not isinstance(content, dict):
        raise AsitError(f"{where}: expected a JSON object, found {_FOUND[type(content)]}; {remedy}")
    return content


def load(path: str | os.PathLike[str], remedy: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        AsitError: a file that cannot be read, no UTF-8; see :func:`parse`.
    """
    path = os.fspath(path)
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except OSError as error:
        raise AsitError(f"{path}: cannot read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise AsitError(f"{path}: expected UTF-8, found byte {error.object[error.start]:#04x}; {remedy}") from None
    return parse(text, path, remedy)


def member(content: dict[str, Any], name: str, kind: type, where: str, remedy: str) -> Any:
    """The member of an object, of this kind; float takes whole numbers too, numbers fit into 64 bits.

    Raises:
        AsitError: missing, or of another kind.
    """
    if name not in content:
        raise AsitError(f"{where}: '{name}' is missing; {remedy}")
    value = content[name]
    fits = isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
    if fits and isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise AsitError(f"{where}: '{name}': a number that 64 bits do not hold; {remedy}")
    if not fits:
        raise AsitError(f"{where}: '{name}': expected {TYPES[kind]}, found {_FOUND[type(value)]}; {remedy}")
    return value
