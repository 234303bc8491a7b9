"""The transcribed utterances of a data directory: ``text``, and its units as targets."""

from __future__ import annotations

import numpy as np

from asit.data.tokens import UNKNOWN, Tokens
from asit.data.utterances import LeaveOutSettings, Utterances
from asit.errors import AsitError
from asit.features.stats import Stats
from asit.kaldi.data_dir import DataDir


class Transcripts(Utterances):
    """Features and transcripts of the utterances in ``text``.

    Attributes:
        texts: transcripts of ``utts``, words separated by one space. The others are those of :class:`Utterances`.

    Raises:
        AsitError: no ``text``, an empty transcript; as :class:`Utterances`.
    """

    table = "text"
    nothing = "no transcript; add its line"

    def __init__(self, path: str, stats: Stats, max_missing: float = 0.05) -> None:
        data = DataDir(path)
        text = {utt: " ".join(words.split()) for utt, words in data.text.items()}
        empty = [utt for utt, words in text.items() if not words]
        if empty:
            raise AsitError(
                f"{data.file('text')}: utterance '{empty[0]}': expected a transcript, found none ({len(empty)} in all)"
                "; write what is said, or take the utterance out of utt2spk and run asit-fix-data-dir"
            )
        super().__init__(path, stats, text, max_missing)
        self.texts = [text[utt] for utt in self.utts]

    def for_training(self, tokens: Tokens, stride: int, settings: LeaveOutSettings) -> Transcripts:
        """Encode the transcripts and keep the utterances that can be learned from; ``left_out`` has the others.

        Args:
            stride: frames between two time steps of the network, of which CTC needs one for each unit and one more
                between two equal ones.

        Raises:
            AsitError: more of them than ``max_left_out``; names the first one and what to do.
        """
        targets = [np.array(tokens.encode(text), dtype=np.int64) for text in self.texts]

        def problem(i: int) -> str | None:
            units = targets[i]
            need, steps = steps_needed(units), -(-int(self.lengths[i]) // stride)
            if UNKNOWN in units:
                return f"'{tokens.unknown(self.texts[i])}' has no unit in {tokens.source}"
            if need > steps:
                return f"{len(units)} units need {need} time steps, its {self.lengths[i]} frames are {steps}"
            return None

        remedy = (
            "train the units on this text, with fewer and longer ones (asit-train-tokens --vocab-size), lower "
            "--time-stride"
        )
        kept = self._keep(problem, settings, remedy)
        self.texts, self.targets = [self.texts[i] for i in kept], [targets[i] for i in kept]
        return self

    def lines(self) -> list[str]:
        """See :class:`Utterances`."""
        return self.texts


def steps_needed(units: np.ndarray) -> int:
    """Time steps that CTC needs for a target: one a unit, and a <blank> between two equal ones.

    >>> steps_needed(np.array([3, 3, 5]))
    4
    """
    return len(units) + int((units[1:] == units[:-1]).sum())
