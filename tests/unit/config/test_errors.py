from __future__ import annotations

import os
import subprocess
import sys

import pytest

from asit.errors import AsitError, command, nearest


def leaving(body, capsys, monkeypatch) -> tuple[int, str]:
    """Exit code and stderr of a command with this body."""
    monkeypatch.setattr(sys, "argv", ["/some where/asit-x"])
    code = command(body)()
    return code, capsys.readouterr().err


def raising(error: BaseException):
    def body() -> None:
        raise error

    return body


def test_done(capsys, monkeypatch) -> None:
    assert leaving(lambda: None, capsys, monkeypatch) == (0, "")


def test_a_mistake_is_one_line(capsys, monkeypatch) -> None:
    assert leaving(raising(AsitError("f:3: wrong")), capsys, monkeypatch) == (1, "asit-x: error: f:3: wrong\n")


@pytest.mark.parametrize("text", ["two\nlines", "two\r\n  lines\n", " two lines "])
def test_a_mistake_is_one_line_whatever_it_quotes(capsys, monkeypatch, text) -> None:
    assert leaving(raising(AsitError(text)), capsys, monkeypatch)[1] == "asit-x: error: two lines\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "/x/y"), "/x/y: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (FileNotFoundError(2, "No such file or directory", "/x/y"), "/x/y: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_used(capsys, monkeypatch, error, message) -> None:
    assert leaving(raising(error), capsys, monkeypatch) == (1, f"asit-x: error: {message}\n")


def test_interruption(capsys, monkeypatch) -> None:
    assert leaving(raising(KeyboardInterrupt()), capsys, monkeypatch) == (130, "asit-x: interrupted\n")


def test_a_documented_code_passes(monkeypatch) -> None:
    with pytest.raises(SystemExit) as found:
        command(raising(SystemExit(85)))()
    assert found.value.code == 85


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        command(lambda: 1 / 0)()


def test_a_closed_pipe_is_silent() -> None:
    body = "from asit.errors import command\nimport sys\nsys.exit(command(lambda: print('x\\n' * 100000))())"
    shown = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$0" -c "$1" | head -1', sys.executable, body],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "x\n", "")


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("mask", ["masking", "stage"], "did you mean 'masking'?"),
        ("zzz", ["b", "a"], "known: a, b"),
        ("zzz", [], "known: (none)"),
    ],
)
def test_nearest(name, known, hint) -> None:
    assert nearest(name, known) == hint


RANK = """
import atexit, threading, time
from asit.errors import command

@command
def main():
    atexit.register(print, "what is due at the end")
    threading.Thread(target=time.sleep, args=(600,)).start()
    BODY

main()
"""


@pytest.mark.parametrize(
    ("body", "code"), [("print('done')", 0), ("raise SystemExit(85)", 85), ("raise OSError(28, 'full')", 1)]
)
def test_a_rank_ends_without_waiting_for_threads(body, code):
    """Gloo's threads wait for Python while Python ends, and abort it: a rank does not go that far."""
    ended = subprocess.run(
        [sys.executable, "-c", RANK.replace("BODY", body)],
        env={**os.environ, "WORLD_SIZE": "2"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert "what is due at the end" in ended.stdout
