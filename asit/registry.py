"""Components picked by name: dropping a file into a package is its registration.

``load("masking", "gmml")`` is the module ``asit.masking.gmml``. Modules whose name starts with an
underscore are private helpers and never listed.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from asit.errors import AsitError, excerpt, nearest


def names(kind: str) -> list[str]:
    """The names that ``load(kind, ...)`` accepts, sorted.

    >>> "gmml" in names("masking")
    True
    """
    package = importlib.import_module(f"asit.{kind}")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


def load(kind: str, name: str) -> ModuleType:
    """The module ``asit.<kind>.<name>``.

    Raises:
        AsitError: no such component; the message names the nearest one.
    """
    known = names(kind)
    if name not in known:
        raise AsitError(f"unknown {kind} '{excerpt(name)}': {nearest(name, known)}")
    return importlib.import_module(f"asit.{kind}.{name}")
