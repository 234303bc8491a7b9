"""Rules that hold for every script of the repository, new ones included."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def listed() -> list[Path]:
    """Every file of the checkout, or of an unpacked archive."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        return [p for p in ROOT.rglob("*") if p.is_file() and not any(x.startswith(".venv") for x in p.parts)]


def is_script(path: Path) -> bool:
    if path.suffix:
        return path.suffix == ".sh"
    with path.open("rb") as stream:
        return re.match(rb"#!.*(bash|/sh)", stream.readline()) is not None


SCRIPTS = sorted(path for path in listed() if is_script(path))
RECIPES = sorted(ROOT.glob("egs/*/run.sh"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_scripts_are_found():
    names = [name(path) for path in SCRIPTS]
    assert {"tools/recipe.sh", "tools/install.sh", ".ci/run", "egs/mini/path.sh"} <= set(names)


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_shellcheck(script):
    command = shutil.which("shellcheck", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert command, "shellcheck is part of the test extra"
    done = subprocess.run([command, name(script)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=name)
def test_no_eval_and_errors_stop(script):
    code = "\n".join(line for line in script.read_text().splitlines() if not line.lstrip().startswith("#"))
    assert not re.search(r"(^|[;&|(\s])eval\s", code), "values are never evaluated"
    if script.read_text().startswith("#!"):
        assert re.search(r"^set -(e?)uo pipefail", code, re.MULTILINE)


@pytest.mark.parametrize("script", RECIPES, ids=name)
def test_recipe_is_short_and_shows_its_options(script):
    lines = script.read_text().splitlines()
    assert len(lines) <= 120
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[1].startswith("# "), "--help prints this comment"
    assert any(line.startswith("parse_options ") for line in lines)
    assert lines[-1] == "finish"
    numbers = [int(n) for n in re.findall(r"^if begin (\d+) ", script.read_text(), re.MULTILINE)]
    assert numbers == sorted(set(numbers)) != []


@pytest.mark.parametrize("script", RECIPES, ids=name)
def test_recipe_notices_when_a_command_fails(script):
    """What fails inside <( ) goes unseen: its output has to be taken by an assignment."""
    assert not re.search(r"<\(\s*asit-", script.read_text())


@pytest.mark.parametrize("script", RECIPES, ids=name)
def test_recipe_help_and_status(script):
    for word in ("--help", "--status"):
        done = subprocess.run([script, word], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert done.stdout


@pytest.mark.parametrize("folder", sorted(p.parent for p in ROOT.glob("egs/*/path.sh")), ids=name)
def test_recipe_folders_do_not_copy_the_environment(folder):
    lines = [line for line in (folder / "path.sh").read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) == 1
    assert "tools/path.sh" in lines[0]


def test_tools_stay_small():
    assert all(len(path.read_text().splitlines()) <= 130 for path in ROOT.glob("tools/*.sh"))
