"""YAML as configuration files need it: what a person writes, and nothing that grows when it is read.

PyYAML reads a file of 200 bytes into 10^9 values (aliases of aliases), ends at 1,000 nested lists with a
RecursionError, and lets through what Python cannot convert (`!!bool maybe`, 10^5000). Here each of these is an error
with its line.
"""

from __future__ import annotations

from typing import Any

import yaml

from asit.config.values import is_text
from asit.errors import AsitError, excerpt

MOST_BYTES = 1 << 20  # of a file; the largest of the recipes has 4 kB
MOST_DEPTH = 20  # mappings and lists inside one another; the recipes have 4
MOST_CHARACTERS_OF_NUMBER = 40
_KINDS = {yaml.ScalarNode: "text", yaml.SequenceNode: "a list", yaml.MappingNode: "a mapping"}
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def compose(path: str) -> list[tuple[str, Any, int]]:
    """(key, value, line) of a YAML mapping, in the file's order; an empty file has none.

    Raises:
        AsitError: missing or unreadable file, more than 1 MiB, not UTF-8, invalid YAML, an anchor's alias, a key given
            twice within a mapping, nesting of more than 20, a number of more than 40 characters, or something else
            than a mapping at the top.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise AsitError(f"{path}: cannot read the configuration: {getattr(error, 'strerror', error)}") from None
    if len(data) > MOST_BYTES:
        raise AsitError(
            f"{path}: expected a configuration of at most {MOST_BYTES} bytes, found more; is it another file?"
        )
    try:
        text = data.decode("utf-8-sig")
        loader = _Loader(text)
        try:
            return _top_level(path, loader)
        finally:
            loader.dispose()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise AsitError(f"{path}:{line}: expected UTF-8 text, found byte {data[error.start]:#04x}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise AsitError(f"{path}{line}: not valid YAML: {excerpt(error.problem or error.context, 200)}") from None
    except yaml.reader.ReaderError as error:  # a control character
        line = text.count("\n", 0, error.position) + 1
        raise AsitError(f"{path}:{line}: not valid YAML: character U+{error.character:04X}; remove it") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases, with a limit to nesting, and with the line in every error."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, "an alias (*name): write the value out, options are few", mark
            )
        if self.depth == MOST_DEPTH:
            raise yaml.composer.ComposerError(
                None, None, f"more than {MOST_DEPTH} lists or mappings in one another", mark
            )
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        if node.tag in _NUMBERS and len(node.value) > MOST_CHARACTERS_OF_NUMBER:
            raise _wrong(node, f"a number of {len(node.value)} characters; quote it to make it text")
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, str) and not is_text(value):
                raise ValueError
            return value
        except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError):
            # A date such as 2024-02-31, `!!bool maybe`, `!!int ""`: PyYAML converts what the tag says, unchecked.
            raise _wrong(node, f"{excerpt(node.value)!a} is no {node.tag.rpartition(':')[2]}") from None

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """As PyYAML, which lets the last of equal keys win."""
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                    raise _wrong(key, f"'{excerpt(key.value)}' is given twice; keep one")
                seen.add((key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key))
        return super().construct_mapping(node, deep)


def _wrong(node: Any, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _top_level(path: str, loader: _Loader) -> list[tuple[str, Any, int]]:
    node = loader.get_single_node()
    if node is None or node.tag == "tag:yaml.org,2002:null":  # an empty file, or ---
        return []
    if not isinstance(node, yaml.MappingNode):
        raise AsitError(f"{path}:1: expected 'option: value' lines, found {_KINDS.get(type(node), 'a value')}")
    found = []
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise AsitError(f"{path}:{line}: expected an option's name, found {_KINDS[type(key)]}")
        found.append((key.value, loader.construct_object(value, deep=True), line))
    return found
