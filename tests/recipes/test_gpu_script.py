"""benchmarks/gpu.sh: the parts run on the CPU at toy sizes, and a part that fails leaves a result and the others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
PARTS = ("agreement", "resume", "speed", "kernels")  # mini's recipe has tests of its own
pytestmark = pytest.mark.slow


def run(out: Path, *options: str) -> subprocess.CompletedProcess:
    """The script on the CPU."""
    words = [ROOT / "benchmarks/gpu.sh", "--tiny", "true", "--out", out, "--python", sys.executable, *options]
    return subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)


def test_the_parts_run_on_the_cpu(tmp_path: Path) -> None:
    done = run(tmp_path / "gpu results", "--device", "cpu", "--parts", " ".join(PARTS))
    assert done.returncode == 0, done.stdout + done.stderr
    found = {p.stem: json.loads(p.read_text()) for p in (tmp_path / "gpu results").glob("*.json")}
    assert sorted(found) == sorted(PARTS)
    for name, facts in found.items():
        assert facts["status"] == "held", facts
        assert f"{name:10} held" in done.stdout
    assert [t["name"] for t in found["speed"]["tables"]] == ["gpu_step", "gpu_levers_tiny"]
    assert sorted(p.name for p in (tmp_path / "gpu results").iterdir()) == sorted(
        [*(f"{name}.json" for name in PARTS), "gpu.log"]
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_and_fails(tmp_path: Path) -> None:
    done = run(tmp_path, "--parts", "kernels")
    assert done.returncode == 1
    facts = json.loads((tmp_path / "kernels.json").read_text())
    assert facts["status"] == "failed"
    assert "torch finds no GPU" in facts["checks"][0]["found"]
    assert "FAILED: GPU" in done.stdout


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "--parts", "spede")
    assert done.returncode == 2
    assert "no part 'spede'" in done.stderr
