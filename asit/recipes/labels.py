"""Labels and paths as a corpus writes them: what they become in a data directory, and what cannot be written there."""

from __future__ import annotations

import os

from asit.errors import AsitError
from asit.io import pipes
from asit.kaldi.column_values import label_problem

SHOWN = 5  # classes that a message names


class Labels:
    """The labels of a corpus; white space becomes ``_``."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}  # label -> how the corpus writes it

    def add(self, text: str, where: str) -> str:
        """The label that `text` becomes.

        Raises:
            AsitError: naming `where`: no label can be made of it, or another text has become the same label.
        """
        label = "_".join(text.split())
        problem = label_problem(label) if label else "a label is empty"
        if problem:
            hint = "; several labels of a clip are separated by ';'" if "," in label else ""
            raise AsitError(f"{where}: label '{text}': {problem}; rename it{hint}")
        other = self.texts.setdefault(label, text)
        if other != text:
            raise AsitError(
                f"{where}: '{text}' and '{other}' both become the label '{label}'; rename one, or make them one"
            )
        return label

    def told(self) -> str:
        """How many classes there are, and the first of them."""
        names = sorted(self.texts)
        more = ", …" if len(names) > SHOWN else ""
        return f"{len(names)} class{'es' * (len(names) != 1)}: {', '.join(names[:SHOWN])}{more}"


def path_problem(path: str) -> str | None:
    """Why wav.scp cannot hold a path, or None; one line that can be printed."""
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
    try:
        path.encode()
    except UnicodeEncodeError:
        return (
            f"{shown}: the name is not UTF-8, as the tables of a data directory are; rename the files, as with "
            "convmv -f latin1 -t utf8 -r --notest <corpus>"
        )
    if "\n" in path or "\r" in path or pipes.is_pipe(path):
        return f"{shown!r}: the name holds a line break or ends in '|', which wav.scp cannot hold; rename the file"
    return None
