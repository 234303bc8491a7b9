"""Label strings of utt2label to class indices, with errors that name the utterance."""

from __future__ import annotations

from collections.abc import Sequence

from asit.errors import AsitError, excerpt, nearest
from asit.kaldi.column_values import parse_labels


class LabelMap:
    """Class names in index order.

    Raises:
        AsitError: fewer than ``least`` classes or a name that occurs twice.
    """

    def __init__(self, labels: Sequence[str], least: int = 2) -> None:
        self.labels = list(labels)
        self.index = {label: i for i, label in enumerate(self.labels)}
        if len(self.labels) < least:
            raise AsitError(f"labels.txt: expected at least {least} classes, found {len(self.labels)}")
        if len(self.index) != len(self.labels):
            twice = next(label for label in self.labels if self.labels.count(label) > 1)
            raise AsitError(f"labels.txt: class '{twice}' is listed twice; keep one line a class")

    def indices(
        self, label_strings: Sequence[str], utts: Sequence[str] | None = None, source: str = "utt2label"
    ) -> list[list[int]]:
        """Indices of each clip's comma-separated labels; none for "-", a clip without any of them.

        Raises:
            AsitError: a label that labels.txt does not list; names the utterance and the file.
        """
        rows: list[list[int]] = []
        seen: dict[str, list[int]] = {}  # two million clips share some hundred thousand combinations
        for i, text in enumerate(label_strings):
            if text not in seen:
                seen[text] = self._row(text, utts[i] if utts is not None else f"number {i + 1}", source)
            rows.append(seen[text])
        return rows

    def _row(self, text: str, utt: str, source: str) -> list[int]:
        try:
            names = parse_labels(text)
        except ValueError as error:
            raise AsitError(f"{source}: utterance {excerpt(utt)}: {error}") from None
        for name in names:
            if name not in self.index:
                raise AsitError(
                    f"{source}: utterance {excerpt(utt)}: unknown label '{excerpt(name)}', not in labels.txt: "
                    f"{nearest(name, self.labels)}"
                )
        return [self.index[name] for name in names]
