"""The one exception that means "the user can fix this"."""

from __future__ import annotations

import atexit
import functools
import os
import sys
import time
from collections.abc import Callable, Iterable
from difflib import get_close_matches

OTHERS_WAIT = 10.0  # seconds by which the other processes of a training on one machine are later with an error


class AsitError(Exception):
    """A mistake in input, options or environment.

    The message is one line: where (file, line, utterance), what was expected, what was found, and what
    to do. Commands print it as ``<command>: error: <message>`` without a traceback and exit with 1.
    Anything else that escapes is a bug and keeps its traceback.
    """


def excerpt(text: object, most: int = 80) -> str:
    """A word or line of a file as a message can show it: on one line, and not a megabyte of it.

    >>> excerpt("a\\nb"), excerpt("x" * 100, 9)
    ('a b', 'xxxxxxxxx...')
    """
    shown = str(text)
    plain = shown[: most + 1].encode(errors="backslashreplace").decode()
    return " ".join(plain.split())[:most] + ("..." if len(shown) > most else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that ends a message about an unknown name: the nearest known one, or all of them.

    >>> nearest("mask", ["masking", "stage"])
    "did you mean 'masking'?"
    """
    known = sorted(known)
    match = get_close_matches(name[:200], known, n=1, cutoff=0.6)  # its time grows with the square of the length
    if match:
        return f"did you mean '{match[0]}'?"
    return f"known: {', '.join(known) if known else '(none)'}"


def command(main: Callable[[], None]) -> Callable[[], int]:
    """Turn a command's body into a console-script entry point with clean exits.

    Exit codes: 0 done, 1 :class:`AsitError` or a file that cannot be read or written, 2 wrong usage, 130 Ctrl-C.
    A body leaves with another documented code by ``raise SystemExit(code)``.
    """

    @functools.wraps(main)
    def run() -> int:
        if os.environ.get("WORLD_SIZE", "1") == "1":
            return _code(main)
        try:
            code = _code(main)
        except SystemExit as end:
            if not isinstance(end.code, int):
                raise
            code = end.code
        # A thread of gloo that lets go of its last tensor while Python ends aborts the process: a finished run that
        # counts as failed. So a rank ends here, after what is due at the end.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    return run


def _code(main: Callable[[], None]) -> int:
    """Run a command's body; its exit code."""
    name = os.path.basename(sys.argv[0]) or "asit"
    try:
        main()
        sys.stdout.flush()
    except AsitError as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            time.sleep(OTHERS_WAIT)  # the first process tells the same error, and then this one is ended
        print(f"{name}: error: {' '.join(line.strip() for line in str(error).splitlines())}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `asit-... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # disk full, no permission: nothing that a traceback would explain
        if error.strerror is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"{name}: error: {where}{error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    return 0
