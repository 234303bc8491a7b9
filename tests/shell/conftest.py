"""A small recipe in a folder with spaces, run by bash as a user runs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

RUN_SH = """#!/usr/bin/env bash
# Toy recipe: writes what it was told.
#   ./run.sh --stage train
set -euo pipefail
cd "$(dirname "$0")"
. "$ASIT_TOOLS/recipe.sh"

nj=2; epochs=3        # numbers
quick=false           # less of everything
text="a b"            # any words; they may hold a # sign
tag=''
parse_options "$@"
exp=exp/train_$epochs # derived from an option

note() { printf '%s\\n' "$1 $text" >>trace; }

if begin 0 data "Prepare data"; then
    note data
    mkdir -p data && printf '%s\\n' "$text" >data/text
fi

if begin 1 train "Train a model" conf/train.yaml data/text -- "$exp/model"; then
    note train
    ./step
    mkdir -p "$exp" && printf '%s\\n' "$nj" >"$exp/model"
fi

if begin 2 score "Score it"; then
    note score
fi
finish
"""


class Recipe:
    """The toy recipe and how to run it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "ASIT_TOOLS": str(ROOT / "tools")}
        (folder / "conf").mkdir(parents=True)
        (folder / "conf/train.yaml").write_text("lr: 1\n")
        self.script(RUN_SH)
        self.step("true")

    def script(self, text: str) -> None:
        """Replace run.sh."""
        self._executable("run.sh", text)

    def step(self, body: str) -> None:
        """What the training stage calls."""
        self._executable("step", f"#!/usr/bin/env bash\n{body}\n")

    def run(self, *arguments: str, code: int = 0, cwd: Path | None = None) -> str:
        """Run run.sh, check its exit code, give stdout and stderr together."""
        done = subprocess.run(
            [str(self.folder / "run.sh"), *arguments],
            env=self.environment,
            cwd=cwd or self.folder.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout
        return done.stdout

    def ran(self) -> list[str]:
        """Names of the stages that have run since the last call."""
        trace = self.folder / "trace"
        words = [line.split()[0] for line in trace.read_text().splitlines()] if trace.exists() else []
        trace.unlink(missing_ok=True)
        return words

    def _executable(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """A fresh toy recipe whose path holds spaces and a quote."""
    return Recipe(tmp_path / "my recipes" / "it's a toy")
