"""Components picked by name: dropping a file into a package is its registration.

``load("masking", "gmml")`` is the module ``asit.masking.gmml``. A component is a module that defines ``Settings``, or, as
losses do, ``example``; what the components of a folder share stands in modules beside them.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

from asit.errors import AsitError, excerpt, nearest

_COMPONENT = re.compile(r"^(class Settings|def example)\b", re.MULTILINE)


def names(kind: str) -> list[str]:
    """The names that ``load(kind, ...)`` accepts, sorted.

    >>> "gmml" in names("masking")
    True
    """
    package = importlib.import_module(f"asit.{kind}")
    files = (path for folder in package.__path__ for path in Path(folder).glob("*.py"))
    return sorted(path.stem for path in files if _COMPONENT.search(path.read_text(encoding="utf-8")))


def load(kind: str, name: str) -> ModuleType:
    """The module ``asit.<kind>.<name>``.

    Raises:
        AsitError: no such component; the message names the nearest one.
    """
    known = names(kind)
    if name not in known:
        raise AsitError(f"unknown {kind} '{excerpt(name)}': {nearest(name, known)}")
    return importlib.import_module(f"asit.{kind}.{name}")
