"""A learner small enough to train in milliseconds, with everything a real one has: teacher, centre, randomness."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
