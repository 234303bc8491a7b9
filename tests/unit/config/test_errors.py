from __future__ import annotations

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
