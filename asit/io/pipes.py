"""Commands in scp files (``sox a.wav -t wav - |``): recognised, refused, or run when the user allowed it."""

from __future__ import annotations

import subprocess

from asit.errors import AsitError


def is_pipe(spec: str) -> bool:
    """Whether a Kaldi file name is a command (``cmd |``, ``| cmd``) or standard input (``-``), not a file.

    A range (``cmd |[0:3]``) or an offset (``cmd |:12``) after the command does not hide it.

    >>> [is_pipe(s) for s in ("a.ark:12", "cat a |", " | cat", "cat a |[0:3]", "cat a |:12", "-")]
    [False, True, True, True, True, True]
    """
    name = spec.strip()
    if name.startswith("|") or name.endswith("|") or name == "-":
        return True
    if "|" not in name:
        return False
    if name.endswith("]"):
        name = name[: name.rfind("[")].rstrip()
    head, colon, tail = name.rpartition(":")
    if colon and tail.isdigit():
        name = head.rstrip()
    return name.endswith("|")


def refuse(spec: str, where: str = "", option: str = "") -> None:
    """Raise if `spec` is a command or standard input.

    Args:
        option: what allows commands where this is called, such as ``--allow-pipes true``; empty if nothing does.

    Raises:
        AsitError: naming `where` (utterance, or empty) and the remedy.
    """
    prefix = f"{where}: " if where else ""
    if spec.strip() == "-":
        raise AsitError(f"{prefix}'-' is standard input, not a file; write its content to a file and name that")
    if is_pipe(spec):
        allow = f", or allow them where you trust the list ({option})" if option else ""
        raise AsitError(
            f"{prefix}'{spec.strip()}' is a command, not a file: commands in scp files can run anything, so they are "
            f"refused here; write the files first{allow}"
        )


def output_of(spec: str, where: str = "") -> bytes:
    """Standard output of the command ``cmd |``. The caller has made sure that the user allows it.

    Raises:
        AsitError: not of the form ``cmd |``, non-zero exit, or no output.
    """
    command = spec.strip()
    prefix = where + ": " if where else ""
    if not command.endswith("|") or command.startswith("|"):
        raise AsitError(f"{prefix}'{command}' cannot be read: expected 'command |' or a file name")
    # Kaldi hands the text to /bin/sh; only reached when the user opted in, so the shell is what is wanted here.
    done = subprocess.run(["/bin/sh", "-c", command[:-1]], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").split()
        raise AsitError(
            f"{prefix}command '{command}' failed with exit code {done.returncode}: {' '.join(words)[-300:]}"
        )
    if not done.stdout:
        raise AsitError(f"{prefix}command '{command}' wrote nothing; run it by hand to see why")
    return done.stdout
