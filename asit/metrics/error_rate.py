"""Word and character error rates: how many words or characters must be put in, taken out or replaced, as a share of
those that were said. Counted by jiwer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asit.metrics.intervals import ratio_interval
from asit.metrics.metric import Metric

CER, WER = Metric("cer", "%", "lower"), Metric("wer", "%", "lower")
KINDS = ("equal", "substitute", "delete", "insert")  # the columns of the counts


def counts(references: Sequence[str], hypotheses: Sequence[str], unit: str) -> np.ndarray:
    """Per utterance int64 (n, 4): right, substituted, deleted and inserted words or characters.

    Args:
        references: none of them empty. unit: "words", separated by white space, or "characters", spaces among them.

    >>> counts(["a bc"], ["a bd c"], "words").tolist(), counts(["a bc"], ["a bd c"], "characters").tolist()
    ([[1, 1, 0, 1]], [[4, 0, 0, 2]])
    """
    import jiwer  # slow to import

    process = jiwer.process_words if unit == "words" else jiwer.process_characters
    found = np.zeros((len(references), len(KINDS)), dtype=np.int64)
    for row, chunks in zip(found, process(list(references), list(hypotheses)).alignments, strict=True):
        for chunk in chunks:
            size = max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
            row[KINDS.index(chunk.type)] += size
    return found


def rate(found: np.ndarray) -> float:
    """Errors over what was said, of counts (n, 4); above 1 where much is inserted."""
    return float(found[:, 1:].sum() / found[:, :3].sum())


def interval(found: np.ndarray) -> tuple[float, float]:
    """95 % interval of :func:`rate` over utterances."""
    return ratio_interval(found[:, 1:].sum(axis=1), found[:, :3].sum(axis=1))
