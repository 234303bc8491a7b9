from __future__ import annotations

import shlex

import pytest

from asit.launch.contract import footer, parse
from asit.launch.failures import report


def failing(tmp_path, output, code=1):
    (tmp_path / "x.log").write_text(f"# cmd\n{output}\n{footer(code, 0, 0, 1)}")
    return report("asit-run-local", parse([str(tmp_path / "x.log"), "train", "--text", "a b"]), [1])


def test_one_job(tmp_path):
    traceback = "Traceback (most recent call last):\n  File x\nasit.errors.AsitError: wav.scp:3: bad\ncleaning up"
    lines = failing(tmp_path, traceback).splitlines()
    assert lines[0] == f"asit-run-local: job failed, log is in {tmp_path}/x.log"
    assert lines[1].strip() == "asit.errors.AsitError: wav.scp:3: bad"
    assert lines[-1].strip() == f"again: asit-run-local {tmp_path}/x.log train --text 'a b'"


@pytest.mark.parametrize(
    ("output", "code", "cause"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried", 1, "GPU's memory"),
        ("numpy: MemoryError: Unable to allocate", 1, "--mem"),
        ("OSError: [Errno 28] No space left on device", 1, "disk is full"),
        ("slurmstepd: error: CANCELLED DUE TO TIME LIMIT", 1, "--time"),
        ("bash: line 1: foo: command not found", 127, "path.sh"),
        ("ModuleNotFoundError: No module named 'asit'", 1, "package"),
        ("working", -9, "signal 9"),
        ("saved", 85, "start it again to continue"),
    ],
)
def test_likely_cause(tmp_path, output, code, cause):
    assert cause in failing(tmp_path, output, code)


def test_no_guess_without_ground(tmp_path):
    assert "likely cause" not in failing(tmp_path, "ValueError: expected 3, found 4")


def test_array(tmp_path):
    for index in range(1, 10):
        (tmp_path / f"x.{index}.log").write_text(f"ValueError: part {index}\n" + footer(1, 0, 0, 1))
    words = ["--mem", "4G", "JOB=1:9", f"{tmp_path}/x.JOB.log", "echo", "it's JOB"]
    lines = report("asit-run-local", parse(words), [1, 2, 3, 5, 8]).splitlines()
    assert lines[0] == f"asit-run-local: 5 / 9 failed, log is in {tmp_path}/x.*.log"
    assert lines[1].strip() == "failed: JOB=1:3,5,8"
    assert lines[2].strip() == "JOB=1: ValueError: part 1"
    assert lines[-2].strip() == "and 2 more"
    again = shlex.split(lines[-1].strip().removeprefix("again: "))
    assert again == ["asit-run-local", "--mem", "4G", "--pick", "failed", *words[2:]]
    only = report("asit-run-local", parse(words), [5]).splitlines()[-1]
    assert shlex.split(only.strip().removeprefix("again: "))[3] == "JOB=5"
