"""tools/install.sh and tools/path.sh with a stub in Python's place: nothing is downloaded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PIN = re.search(r"^torch==(\S+)", (ROOT / "tools/constraints.txt").read_text(), re.MULTILINE)[1]

STUB = f"""#!/usr/bin/env bash
# Stands for python3 and for the environment's python; says in $STUB/calls what it was asked to install.
case $* in
    "-c import sys; sys.exit(sys.version_info"*) [[ ! -e $STUB/old ]] ;;
    "-c import ensurepip"*) [[ ! -e $STUB/no-ensurepip ]] ;;
    --version) echo Python 3.11.0 ;;
    "-m venv --clear "*) echo venv >>"$STUB/calls"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
    "-c from importlib.metadata"*) cat "$STUB/torch" ;;
    "-c import fcntl"*) exec "{sys.executable}" "$@" ;;
    *" check"|*" --version") ;;
    "-m "*)
        echo "$*" >>"$STUB/calls"
        sleep "$(cat "$STUB/delay" 2>/dev/null || echo 0)"
        ! grep -qxF -f "$STUB/fails" <(printf '%s\\n' "$@") || exit 1
        for word; do case $word in torch==*) echo "${{word#torch==}}" >"$STUB/torch" ;; esac; done
        [[ $* != *" -e "* ]] || touch "$(dirname "$0")/asit-run-local"
        chmod -f +x "$(dirname "$0")/asit-run-local" || true ;;
    *) echo "stub: unexpected $*" >&2; exit 9 ;;
esac
"""


class Machine:
    """A folder of stubs in front of PATH, and where the environment goes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.venv = folder, folder / "my venv"
        (folder / "bin").mkdir(parents=True)
        self.command("python3", STUB)
        self.command("nvidia-smi", "#!/bin/sh\nexit 9\n")
        (folder / "fails").write_text("-\n")
        self.environment = {**os.environ, "STUB": str(folder), "PATH": f"{folder}/bin:{os.environ['PATH']}"}

    def command(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def start(self, *words: str) -> subprocess.Popen:
        words = ("--venv", str(self.venv), "--python", "python3", *words)
        return subprocess.Popen(
            [ROOT / "tools/install.sh", *words], env=self.environment, text=True, stderr=subprocess.PIPE
        )

    def install(self, *words: str, code: int = 0) -> str:
        process = self.start(*words)
        err = process.communicate(timeout=60)[1]
        assert process.returncode == code, err
        return err

    def calls(self) -> list[str]:
        """What has been installed since the last call."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    @property
    def complete(self) -> bool:
        return (self.venv / ".asit-installed").exists()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "a machine")


def test_first_installation_then_nothing_to_do(machine):
    err = machine.install()
    assert "2-4 minutes" in err
    calls = machine.calls()
    assert calls[0] == "venv"
    assert any(f"torch=={PIN}+cpu" in c for c in calls)
    assert all("-c " + str(ROOT / "tools/constraints.txt") in c for c in calls if "-e ." in c)
    assert not any(" uv" in c for c in calls), "pip's own configuration had the wheel"
    assert "is up to date" in machine.install()
    assert machine.install("--quiet") == ""
    assert machine.calls() == []


def test_cpu_build_by_uv_then_default_with_a_warning(machine):
    (machine.folder / "fails").write_text(f"torch=={PIN}+cpu\n")
    assert "warning" not in machine.install()
    assert any("uv pip install" in c and "--torch-backend=cpu" in c for c in machine.calls())


def test_no_cpu_build(machine):
    (machine.folder / "fails").write_text(f"torch=={PIN}+cpu\n--torch-backend=cpu\n")
    err = machine.install("--allow-cuda", "false", code=1)
    assert "no CPU build" in err
    assert not machine.complete
    assert "warning: no CPU build" in machine.install()
    assert machine.complete


def test_gpu(machine):
    machine.command("nvidia-smi", "#!/bin/sh\necho 'GPU 0: something'\n")
    machine.install()
    calls = machine.calls()
    assert any("--torch-backend=auto" in c for c in calls)
    assert not any("+cpu" in c for c in calls)


def test_index_given_by_the_user(machine):
    machine.install("--torch-index", "https://example.org/torch")
    assert any("--index-url https://example.org/torch" in c and f"torch=={PIN}" in c for c in machine.calls())


def test_failed_installation_is_not_complete_and_goes_on(machine):
    (machine.folder / "fails").write_text("-e\n")
    machine.install(code=1)
    assert not machine.complete
    machine.calls()
    (machine.folder / "fails").write_text("-\n")
    machine.install()
    assert machine.complete
    assert not any("torch==" in c for c in machine.calls()), "what is there is kept"


def test_extras_add_up(machine):
    machine.install("--extras", "test")
    assert any("-e .[test]" in c for c in machine.calls())
    machine.install("--extras", "")
    assert machine.calls() == []
    machine.install("--extras", "torchaudio")
    assert any("-e .[test,torchaudio]" in c for c in machine.calls())


def test_two_at_a_time_install_once(machine):
    (machine.folder / "delay").write_text("0.3\n")
    first = machine.start()
    while not (machine.folder / "calls").exists():
        assert first.poll() is None
        time.sleep(0.01)
    err = machine.install()
    assert "waiting" in err
    assert first.wait(timeout=60) == 0
    assert sum("-e ." in c for c in machine.calls()) == 1
    assert machine.complete


def test_messages_about_python(machine):
    (machine.folder / "no-ensurepip").touch()
    assert "python3-venv" in machine.install(code=1)
    (machine.folder / "old").touch()
    assert "no Python >= 3.10 found (python3)" in machine.install(code=1)


def source_path(*words, **environment):
    script = f'cd /tmp && set -euo pipefail && . "{ROOT}/tools/path.sh" && env'
    done = subprocess.run(
        ["bash", "-c", script, "run.sh", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line), done.stderr


def test_path_sets_locale_and_threads():
    variables, _ = source_path("--help", OMP_NUM_THREADS="")
    assert variables["LC_ALL"] == "C"
    assert variables["PYTHONUTF8"] == variables["PYTHONUNBUFFERED"] == variables["OMP_NUM_THREADS"] == "1"
    assert source_path("--help", OMP_NUM_THREADS="4")[0]["OMP_NUM_THREADS"] == "4"


def test_help_needs_no_environment(tmp_path):
    (tmp_path / "python").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "python").chmod(0o755)
    for word in ("--help", "--status"):
        _, err = source_path(word, PATH=f"{tmp_path}:/usr/bin:/bin")
        assert err == ""


def test_a_linked_environment_is_not_emptied(machine) -> None:
    """Making it anew clears the folder, which may be another checkout's."""
    other = machine.folder / "other"
    (other / "kept").mkdir(parents=True)
    machine.venv.symlink_to(other)
    process = machine.start("--torch-backend", "cpu")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is a link" in err
    assert (other / "kept").is_dir()


def test_an_interactive_shell_survives_path_sh(tmp_path):
    """The docs tell to source it at the prompt: a failure there may not close the shell, nor leave `set -e` in it."""
    checkout = tmp_path / "my asit"
    shutil.copytree(ROOT / "tools", checkout / "tools")
    (checkout / "egs/toy").mkdir(parents=True)
    shutil.copy(ROOT / "egs/TEMPLATE/path.sh", checkout / "egs/toy")
    (checkout / "tools/install.sh").write_text("#!/bin/sh\necho no environment >&2\nexit 1\n")
    words = ". ./path.sh; echo code=$?; false; echo still here; echo flags=$-; [[ -o pipefail ]] || echo no pipefail"
    for flags, alive in (("-i", True), ("-e", False)):
        done = subprocess.run(
            ["bash", "--norc", flags, "-c", words],
            cwd=checkout / "egs/toy", env={**os.environ, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
            check=False, start_new_session=True,
        )  # fmt: skip
        assert "no environment" in done.stderr
        assert ("code=1\nstill here\n" in done.stdout and "no pipefail" in done.stdout) == alive, done.stdout
        assert (done.returncode == 0) == alive
