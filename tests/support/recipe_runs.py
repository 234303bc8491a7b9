"""For tests of recipes: a copy of one in a path with spaces, its commands, and a file server for its download stage."""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCED = shutil.ignore_patterns("data", "exp", "exp_quick", "fbank", "downloads", "__pycache__")


def copy_recipe(name: str, folder: Path, configs: Mapping[str, str]) -> Path:
    """``egs/<name>`` in a folder of its own, with further files in conf/."""
    recipe = folder / "my recipes" / name
    shutil.copytree(ROOT / "egs" / name, recipe, ignore=PRODUCED)
    for file, text in configs.items():
        (recipe / "conf" / file).write_text(text, encoding="utf-8")
    return recipe


def call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command there, in the environment of a recipe that is kept outside the repository, without a proxy."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    more = {"PATH": path, "ASIT_ROOT": str(ROOT), "OMP_NUM_THREADS": "1", "http_proxy": "", "no_proxy": "*"}
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **more}, capture_output=True, text=True, timeout=1800, check=False
    )


def run(recipe: Path, *command: str) -> str:
    """Its output; the test fails, with the logs of the jobs, when it fails."""
    done = call(recipe, *command)
    logs = "".join(path.read_text(errors="replace") for path in recipe.glob("exp/**/log/*.log"))
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}\n{logs}"
    return done.stdout


def assert_refused(done: subprocess.CompletedProcess[str], expected: str) -> None:
    """One line of error, as expected, and no traceback."""
    lines = [line for line in done.stderr.splitlines() if ": error: " in line]
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(lines) == 1, done.stderr
    assert re.search(expected, lines[0]), done.stderr
    assert "Traceback" not in done.stderr


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of the folder's files on this machine, for as long as the context lasts."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass
