"""Print how far every number of the golden runs is from the stored one: ``python tests/golden/deviations.py``.

A deviation is the largest difference in an array over the array's largest magnitude; the tests allow 1e-5.
"""

from __future__ import annotations

import json
import re

import numpy as np
import test_asit_golden as golden

checked: dict[str, float] = {}


def note(found: object, expected: object, what: str) -> None:
    """In place of the test's comparison: keep the largest deviation of each kind of number."""
    found = found.detach().double().cpu().numpy() if hasattr(found, "detach") else np.asarray(found, np.float64)
    expected = np.asarray(expected, np.float64)
    error = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))
    kind = re.sub(r"^step \d: ", "", what)
    checked[kind] = max(error, checked.get(kind, 0.0))


def deviations(variant: str, device: str = "cpu", bf16: bool = False) -> dict[str, float]:
    """The largest deviation of each kind of number in the three steps of a variant."""
    checked.clear()
    with np.load(golden.HERE / f"asit_{variant}_step.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    run = golden.Golden(variant, arrays, json.loads(str(arrays.pop("config"))))
    golden.assert_close = note
    golden.three_steps(run, device, bf16)
    golden.test_schedules(run)
    return dict(checked)


def main() -> None:
    """Run the three steps of both variants and print one table."""
    columns = {variant: deviations(variant) for variant in ("v1", "v2")}
    print("| | v1 | v2 |\n|---|---|---|")
    for kind in {**columns["v2"], **columns["v1"]}:
        print("| " + " | ".join([kind, *(f"{c[kind]:.1e}" if kind in c else "-" for c in columns.values())]) + " |")
    print("| largest | " + " | ".join(f"{max(c.values()):.1e}" for c in columns.values()) + " |")


if __name__ == "__main__":
    main()
