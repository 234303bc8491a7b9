"""The fast part of the kill matrix; ``tests/faults/report.py`` runs all of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
import matrix  # noqa: E402 - from the folder named above


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return matrix.Workplace(tmp_path_factory.mktemp("kills"))


@pytest.mark.parametrize("case", [c for c in matrix.CASES if c.fast], ids=lambda c: c.name)
def test_killed_and_run_again(place, case):
    assert matrix.try_case(place, case)["outcome"] == "held"
