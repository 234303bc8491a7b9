"""Sparse targets agree with the dense ones they stand for."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asit.data.targets import MultiHot

CLASSES = 7
ROWS = st.lists(st.lists(st.integers(0, CLASSES - 1), unique=True, max_size=4), min_size=1, max_size=12)


@given(ROWS)
def test_everything_agrees_with_the_dense_matrix(rows):
    dense = np.zeros((len(rows), CLASSES), dtype=np.float32)
    for i, row in enumerate(rows):
        dense[i, row] = 1.0
    sparse = MultiHot.of_rows(rows, CLASSES)
    assert len(sparse) == len(rows)
    assert np.array_equal(sparse.dense(), dense)
    assert np.array_equal(np.stack([sparse[i] for i in range(len(rows))]), dense)
    assert np.array_equal(sparse.counts(), dense.sum(0))
    values = np.arange(1.0, CLASSES + 1)
    assert np.allclose(sparse.sums(values), dense @ values)
