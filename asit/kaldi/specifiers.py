"""Kaldi's rspecifiers and wspecifiers: ``scp:feats.scp``, ``ark:-``, ``ark,t:-``, ``ark,scp:out.ark,out.scp``.

Source: Kaldi ``src/util/kaldi-table.{h,cc}``. Options that only say how a table is used there (``s``, ``cs``, ``o``,
``p``, ``bg``) are accepted and change nothing; pipes are refused.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from asit.errors import AsitError
from asit.io import pipes
from asit.io.atomic import atomic_open
from asit.kaldi import ark_codec, ark_spec
from asit.kaldi.ark import ArkWriter, read_matrix
from asit.kaldi.table import key_problem, read_table

_IGNORED = {"o", "no", "s", "ns", "cs", "ncs", "p", "np", "bg", "f", "nf", "b"}
LONGEST_KEY = 4096  # bytes of an utterance id in an archive


class Specifier(NamedTuple):
    """``kinds``: ark, scp, or both; ``text``: written as text; ``paths``: one for each kind, ``-`` is the stream."""

    kinds: tuple[str, ...]
    text: bool
    paths: tuple[str, ...]


def parse(specifier: str) -> Specifier:
    """Cut a specifier.

    Raises:
        AsitError: no ark or scp, an unknown option, a pipe, other than one file for each of ark and scp.

    >>> parse("ark,t:-")
    Specifier(kinds=('ark',), text=True, paths=('-',))
    """
    head, colon, rest = specifier.partition(":")
    words = head.split(",")
    kinds = tuple(word for word in words if word in ("ark", "scp"))
    unknown = [word for word in words if word not in ("ark", "scp", "t") and word not in _IGNORED]
    if not colon or not kinds or unknown:
        raise AsitError(f"'{specifier}': expected ark:FILE, scp:FILE, ark,t:FILE or ark,scp:FILE,FILE (FILE may be -)")
    if rest != "-" and pipes.is_pipe(rest):
        raise AsitError(f"'{specifier}': commands are not run; write to a file or to - and use the shell's pipe")
    paths = tuple(rest.split(",")) if len(kinds) == 2 else (rest,)
    if len(paths) != len(kinds) or not all(paths):
        raise AsitError(f"'{specifier}': expected {len(kinds)} file(s), found '{rest}'")
    return Specifier(kinds, "t" in words, paths)


def parse_text_output(wspecifier: str) -> bool:
    """True for ``ark,t:-`` (or ``ark:-``), the one output of commands that print a line for each utterance.

    Raises:
        AsitError: another specifier.
    """
    spec = parse(wspecifier)
    if spec.kinds != ("ark",) or spec.paths != ("-",):
        raise AsitError(f"'{wspecifier}': expected ark,t:-; redirect the output into a file")
    return True


def read(rspecifier: str) -> Iterator[tuple[str, np.ndarray]]:
    """Every (id, float32 (T, F)) of an scp file or an archive, binary or text, in its order.

    Raises:
        AsitError: see :func:`parse` and :func:`asit.kaldi.ark.read_matrix`; an archive that ends inside an entry.
    """
    spec = parse(rspecifier)
    if len(spec.kinds) != 1:
        raise AsitError(f"'{rspecifier}': reading takes ark or scp, not both")
    with ExitStack() as stack:
        path = spec.paths[0]
        if path == "-":  # kept in a file, which can be read at any place
            copy = stack.enter_context(tempfile.NamedTemporaryFile(prefix="asit-stdin-"))
            shutil.copyfileobj(sys.stdin.buffer, copy)
            copy.flush()
            path = copy.name
        if spec.kinds == ("scp",):
            for key, value in read_table(path, check_order=False).items():
                yield key, read_matrix(value)
            return
        yield from _entries(path)


def write(wspecifier: str, entries: Iterator[tuple[str, np.ndarray]], compression: int = 0) -> int:
    """Write matrices to an archive, with an scp file if asked for, or as text; how many there were.

    A file appears under its name when all of it is written; ``-`` is standard output.

    Raises:
        AsitError: see :func:`parse` and :class:`asit.kaldi.ark.ArkWriter`; text together with compression.
    """
    spec = parse(wspecifier)
    paths = dict(zip(spec.kinds, spec.paths, strict=True))
    if "ark" not in paths or (spec.text and compression):
        raise AsitError(f"'{wspecifier}': expected ark:FILE, ark,scp:FILE,FILE, or ark,t:FILE without compression")
    if spec.text or paths["ark"] == "-":
        if "scp" in paths:
            raise AsitError(f"'{wspecifier}': an scp file points into a binary archive that is a file")
        with ExitStack() as stack:
            stdout = paths["ark"] == "-"
            stream = sys.stdout.buffer if stdout else stack.enter_context(atomic_open(paths["ark"], "wb"))
            return _write_stream(stream, entries, spec.text, compression)
    count = 0
    with ArkWriter(paths["ark"], paths.get("scp"), compression) as writer:
        for key, matrix in entries:
            writer.write(key, matrix)
            count += 1
    return count


def as_text(key: str, matrix: np.ndarray) -> str:
    """A matrix as Kaldi's tools write it with ``ark,t``; nine digits keep every float32.

    >>> print(as_text("a", np.array([[1, 2.5]], np.float32)), end="")
    a  [
      1 2.5 ]
    """
    rows = "\n".join("  " + " ".join(f"{value:.9g}" for value in row) + " " for row in matrix)
    return f"{key}  [\n{rows}]\n"


# --- internals -------------------------------------------------------------------------------------


def _write_stream(stream: IO[bytes], entries: Iterator[tuple[str, np.ndarray]], text: bool, compression: int) -> int:
    count = 0
    for key, matrix in entries:
        problem = key_problem(key)
        if problem:
            raise AsitError(f"utterance '{key}': {problem}")
        if text:
            stream.write(as_text(key, matrix).encode())
        else:
            head, values = ark_codec.encode(np.ascontiguousarray(matrix, dtype=np.float32), compression)
            stream.write(f"{key} ".encode() + head)
            stream.write(values.data)
        count += 1
    stream.flush()
    return count


def _entries(path: str) -> Iterator[tuple[str, np.ndarray]]:
    """All entries of an archive, one after the other."""
    try:
        size = Path(path).stat().st_size
        stream = open(path, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise AsitError(f"{path}: cannot read: {error.strerror}") from None
    with stream:
        while True:
            key = _key(stream, path)
            if key is None:
                return
            start = stream.tell()
            spec = ark_spec.parse(f"{path}:{start}")
            head = ark_spec.check(stream, spec)
            yield key, read_matrix(spec.text)
            stream.seek(_end(stream, start, head, size, path))


def _key(stream: IO[bytes], path: str) -> str | None:
    """The id before the next entry; the stream is left after its blank. None at the end."""
    start = stream.tell()
    head = stream.read(LONGEST_KEY)
    breaks = len(head) - len(head.lstrip(b"\n"))
    key, blank, _ = head[breaks:].partition(b" ")
    if not key and not blank:
        return None
    try:
        found = key.decode()
    except UnicodeDecodeError:
        found = ""
    if not blank or not found or key_problem(found):
        raise AsitError(f"{path}: byte {start + breaks}: expected an utterance id and a blank, found {key[:20]!r}")
    stream.seek(start + breaks + len(key) + 1)
    return found


def _end(stream: IO[bytes], start: int, head: ark_spec.Header, size: int, path: str) -> int:
    """Where the entry that begins at `start` ends."""
    if head.kind != "TEXT":
        values = head.rows * head.columns * ark_spec.VALUE_BYTES[head.kind]
        return start + head.start + values + (ark_spec.COLUMN_BYTES * head.columns if head.kind == "CM" else 0)
    stream.seek(start)
    while stream.tell() < size:
        place, block = stream.tell(), stream.read(1 << 16)
        if b"]" in block:
            return place + block.index(b"]") + 1
    raise AsitError(f"{path}: the text archive ends without a closing ']'")
