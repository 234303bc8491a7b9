from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asit.metrics.error_rate import counts, interval, rate


def distance(a: list[str], b: list[str]) -> int:
    """Levenshtein's, row by row."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y)))
    return row[-1]


WORDS = st.lists(st.sampled_from(["a", "b", "ab", "ώ"]), min_size=1, max_size=7).map(" ".join)


@given(reference=WORDS, hypothesis=st.one_of(st.just(""), WORDS))
def test_counts_are_the_edit_distance(reference: str, hypothesis: str) -> None:
    for unit, split in (("words", str.split), ("characters", list)):
        ((right, substituted, deleted, inserted),) = counts([reference], [hypothesis], unit)
        said = split(reference)
        assert substituted + deleted + inserted == distance(said, split(hypothesis))
        assert right + substituted + deleted == len(said)
        assert right + substituted + inserted == len(split(hypothesis))


def test_the_rate_is_over_all_utterances() -> None:
    found = counts(["a b c d", "a"], ["a b c d", "b"], "words")
    assert rate(found) == pytest.approx(1 / 5)


def test_the_interval_holds_the_rate_and_shrinks_with_the_number_of_utterances() -> None:
    random = np.random.default_rng(3)
    wrong = random.binomial(10, 0.3, 4000)
    found = np.stack([10 - wrong, wrong, 0 * wrong, 0 * wrong], axis=1)
    widths = []
    for n in (40, 4000):
        low, high = interval(found[:n])
        assert low < rate(found[:n]) < high
        widths.append(high - low)
    assert widths[0] == pytest.approx(10 * widths[1], rel=0.3)
    assert widths[1] == pytest.approx(2 * 1.96 * np.sqrt(0.3 * 0.7 / 40000), rel=0.1)
    assert interval(found[:4000]) == (low, high), "the same each time"
    assert np.isnan(interval(found[:1])).all()
