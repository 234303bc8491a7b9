"""Option values: what an annotation accepts from a word, from YAML and from Python."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Sequence
from typing import Any, NamedTuple

from asit.errors import excerpt, nearest

NOTHING = ("none", "null", "")  # words for None
EXPECTED = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


class Limits(NamedTuple):
    """The range of a number; None is no limit."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def hold(self, number: float) -> bool:
        """Whether the number is within them."""
        low = (self.least is None or number >= self.least) and (self.above is None or number > self.above)
        return low and (self.most is None or number <= self.most) and (self.below is None or number < self.below)

    def __str__(self) -> str:
        """``at least 0 and at most 1``."""
        words = zip(("at least", "more than", "at most", "less than"), self, strict=True)
        return " and ".join(f"{word} {limit:g}" for word, limit in words if limit is not None)


class Kind(NamedTuple):
    """What an option takes: the type of one element, whether it is a tuple of them, whether None is a value, and the
    values that an element is limited to."""

    element: type
    many: bool = False
    optional: bool = False
    choices: Sequence[Any] | None = None
    limits: Limits = Limits()
    counts: Sequence[int] | None = None  # of the elements; None: any number

    @property
    def expected(self) -> str:
        """What a value should be, for messages."""
        text = EXPECTED[self.element] + (" or a list of such" if self.many else "")
        return text + (" or none" if self.optional else "")


def kind_of(annotation: Any) -> Kind:
    """The kind of ``int``, ``float``, ``str``, ``bool``, ``tuple[X, ...]`` and ``X | None``.

    >>> kind_of(tuple[int, ...]).many, kind_of(float | None).optional
    (True, True)
    """
    if isinstance(annotation, types.UnionType):
        (inner,) = (a for a in typing.get_args(annotation) if a is not type(None))
        return kind_of(inner)._replace(optional=True)
    if typing.get_origin(annotation) is tuple:
        return Kind(typing.get_args(annotation)[0], many=True)
    return Kind(annotation)


def from_words(kind: Kind, words: Sequence[str]) -> Any:
    """The value of an option from the words of a command line or an environment variable.

    Raises:
        ValueError: expected one thing, found another.
    """
    if kind.optional and len(words) == 1 and words[0].lower() in NOTHING:
        return None
    if not kind.many:
        return checked(kind, _from_word(kind, *words))
    try:
        return checked(kind, [_from_word(kind, word) for word in words])
    except ValueError as error:
        joined = any(mark in word for word in words for mark in " ,[") and kind.element is not str
        raise ValueError(
            f"{error}; several values are words of their own, as in 1 2" if joined else str(error)
        ) from None


def from_yaml(kind: Kind, value: Any) -> Any:
    """The value of an option from a YAML file. As well as YAML's own types it takes numbers that YAML 1.1 reads as
    text (``5e-4``), the text ``none``, and one element in place of a list.

    Raises:
        ValueError: expected one thing, found another.
    """
    if kind.optional and isinstance(value, str) and value.lower() in NOTHING:
        return None
    if kind.element is not str and isinstance(value, list) and kind.many:
        value = [_from_word(kind, v) if isinstance(v, str) else v for v in value]
    elif kind.element is not str and isinstance(value, str):
        try:
            value = _from_word(kind, value)
        except ValueError as error:
            raise ValueError(f"{error}; a list is written [1, 2]" if kind.many else str(error)) from None
    return checked(kind, value)


def checked(kind: Kind, value: Any) -> Any:
    """A value of the right type: whole numbers become floats, lists and single values tuples where the kind says so.

    Raises:
        ValueError: expected one thing, found another.
    """
    if value is None and kind.optional:
        return None
    if kind.many and value is not None and not isinstance(value, (list, tuple, dict)):
        value = [value]
    if kind.many != isinstance(value, (list, tuple)):
        raise ValueError(f"expected {kind.expected}, found {shown(value)}")
    elements = [_element(kind, item) for item in (value if kind.many else [value])]
    if kind.counts is not None and len(elements) not in kind.counts:
        raise ValueError(f"expected {' or '.join(map(str, kind.counts))} values, found {len(elements)}")
    wrong = [e for e in elements if kind.choices is not None and e not in kind.choices]
    if wrong:
        known = [str(c) for c in kind.choices or ()]
        hint = f": {nearest(str(wrong[0]), known)}" if kind.element is str else ""
        raise ValueError(f"expected one of {', '.join(known)}, found {shown(wrong[0])}{hint}")
    outside = [e for e in elements if kind.limits != Limits() and not kind.limits.hold(e)]
    if outside:
        raise ValueError(f"expected {kind.limits}, found {outside[0]}")
    return tuple(elements) if kind.many else elements[0]


def _element(kind: Kind, item: Any) -> Any:
    if isinstance(item, int) and not -(2**63) <= item < 2**63:
        raise ValueError(f"expected {kind.expected}, found one that 64 bits do not hold")
    if kind.element is float and isinstance(item, int) and not isinstance(item, bool):
        item = float(item)
    if not isinstance(item, kind.element) or (kind.element is int and isinstance(item, bool)):
        quote = "; quote it to make it text" if kind.element is str and isinstance(item, (bool, int, float)) else ""
        raise ValueError(f"expected {kind.expected}, found {shown(item)}{quote}")
    if isinstance(item, float) and not math.isfinite(item):
        raise ValueError(f"expected a finite number, found {item}")
    if isinstance(item, str) and not is_text(item):
        raise ValueError(f"expected text, found {item[:80]!a}, which no file name or line can hold")
    return item


def is_text(text: str) -> bool:
    """Without NUL and without halves of characters (YAML's "\\ud800"), but with the bytes of any file name."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _from_word(kind: Kind, word: str) -> Any:
    if kind.element is bool:
        if word.lower() in ("true", "false"):
            return word.lower() == "true"
    else:
        try:
            return kind.element(word)
        except ValueError:
            pass
    raise ValueError(f"expected {kind.expected}, found '{excerpt(word)}'")


def shown(value: Any) -> str:
    """A value of a configuration as its author would recognise it."""
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "a mapping (options are flat: one 'name: value' a line)"
    words = {None: "nothing", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return f"'{excerpt(value)}'" if isinstance(value, str) else excerpt(repr(value))
