"""Fetching a corpus file: known by its hash, resumed when cut off, from the first mirror that has it.

The bytes go to ``<path>.part`` and get their name only when their sha256 is the expected one. A part is kept for the
next try when the connection or the process ends, and deleted when its hash is wrong.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import logging
import os
import stat
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import IO, Any

from tqdm import tqdm

from asit import __version__
from asit.errors import AsitError, excerpt
from asit.io import atomic
from asit.io.checksum import hash_of

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20
# What urllib raises for an answer that it cannot follow or read. ValueError: a malformed address, also in a redirect.
_NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, OSError, ValueError)


def download(
    sources: str | Sequence[str],
    path: str | os.PathLike[str],
    sha256: str | None,
    *,
    tries: int = 3,
    wait: float = 2.0,
    timeout: float = 60.0,
) -> str:
    """Bring a file to `path`, or do nothing when it is there with the right hash.

    Args:
        sources: tried in order: ``https://…``, ``http://…``, ``file://…``, a file, or a folder that holds a file
            of the same name as `path`.
        sha256: of the whole file, 64 hexadecimal digits. None is for a file of which nobody publishes one: a file at
            `path` is taken as it is, a part of an earlier call is not continued, and the caller checks the content.
        tries: per source; a further try goes on where the last one was cut off.
        wait: seconds before a second try; then twice as many, and so on.
        timeout: seconds without an answer.

    Returns:
        The path.

    Raises:
        AsitError: every source failed (each with its reason), wrong hash, a different file at `path`, a full disk,
            another process at the same download.
    """
    path = os.fspath(path)
    sha256 = sha256.lower() if sha256 is not None else None
    if sha256 is not None and (len(sha256) != 64 or set(sha256) - set("0123456789abcdef")):
        raise AsitError(f"{path}: expected a sha256 of 64 hexadecimal digits, found '{sha256}'")
    if os.path.exists(path):
        found = hash_of(path) if sha256 is not None else None
        if found != sha256:
            raise AsitError(f"{path}: sha256 is {found}, expected {sha256}; remove the file to fetch it again")
        return path
    sources = [sources] if isinstance(sources, str) else list(sources)
    reasons: list[str] = []
    with _part(path) as part:
        for source in sources:
            try:
                _from_source(source, part, path, sha256, tries, wait, timeout)
            except AsitError as error:
                logger.warning("%s", error)
                reasons.append(str(error))
                continue
            except OSError as error:
                raise atomic.cannot_write(part.name, error) from error
            atomic.commit(part, part.name, path)
            return path
    raise AsitError(
        f"{path}: none of {len(sources)} sources could be fetched: {'; '.join(reasons) or 'none was given'}. "
        "Fetch it by hand and give its folder as a source, or try again: what has arrived is kept"
    )


def shown(source: str) -> str:
    """A source as messages may show it: without user, password and query, which can hold tokens.

    >>> shown("https://me:secret@host/a.tar?token=1")
    'https://host/a.tar'
    """
    try:
        parts = urllib.parse.urlsplit(source)
    except ValueError:
        return "an address that is malformed"
    if not parts.scheme or not parts.netloc:
        return source
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


# --- internals -------------------------------------------------------------------------------------


class _CutOffError(Exception):
    """The connection ended early, or the answer was another than asked for; what is right of it is in the part."""


class _NotFetchedError(Exception):
    """No answer, or one that is no HTTP."""


@contextlib.contextmanager
def _part(path: str) -> Any:
    """The open, locked ``.part`` file. It stays unless it is empty or got its final name."""
    name = path + ".part"
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        stream = open(name, "ab+")  # noqa: SIM115 - closed below
    except OSError as error:
        raise atomic.cannot_write(name, error) from error
    try:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AsitError(f"{name}: another process is fetching this file; wait for it") from None
        yield stream
    finally:
        with contextlib.suppress(OSError):
            stream.close()
        if os.path.exists(name) and os.path.getsize(name) == 0:
            atomic.remove(name)


def _from_source(
    source: str, part: IO[bytes], path: str, sha256: str | None, tries: int, wait: float, timeout: float
) -> None:
    """Fill the part from one source and check its hash; a wrong hash empties it."""
    local = _local_file(source, path)
    if sha256 is None:
        part.truncate(0)  # nothing would tell that two halves are of different versions
    resumed = part.seek(0, os.SEEK_END) > 0
    if local is not None:
        part.truncate(0)
        resumed = False
        _copy_local(local, part)
    else:
        _with_tries(source, part, tries, wait, timeout)
    if sha256 is None:
        return
    found = _hash_of_part(part)
    if found != sha256 and resumed:  # perhaps the old part was of another version of the file
        part.truncate(0)
        _with_tries(source, part, tries, wait, timeout)
        found = _hash_of_part(part)
    if found != sha256:
        size = part.seek(0, os.SEEK_END)
        part.truncate(0)
        raise AsitError(f"{shown(source)}: sha256 of its {size} bytes is {found}, expected {sha256}; nothing was kept")


def _local_file(source: str, path: str) -> str | None:
    """The file that a ``file://`` address, a file name or a folder name means; None for a web address."""
    try:
        parts = urllib.parse.urlsplit(source)
    except ValueError as error:
        raise AsitError(f"{shown(source)}: {error}") from None
    if parts.scheme in ("http", "https"):
        return None
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise AsitError(f"{source}: expected file:///absolute/path, found a host name '{parts.netloc}'")
        name = urllib.request.url2pathname(parts.path)
    elif "://" in source:
        raise AsitError(f"{shown(source)}: expected http, https, file or a local path, found '{parts.scheme}'")
    else:
        name = source
    return os.path.join(name, os.path.basename(path)) if os.path.isdir(name) else name


def _copy_local(name: str, part: IO[bytes]) -> None:
    try:
        if stat.S_ISFIFO(os.stat(name).st_mode):
            raise AsitError(f"{name}: expected a file, found a named pipe")
        stream = open(name, "rb")  # noqa: SIM115 - reading errors and writing errors differ in their message
    except (OSError, ValueError) as error:
        raise AsitError(f"{name}: cannot read: {getattr(error, 'strerror', error)}") from None
    with stream, _bar(name, 0, os.fstat(stream.fileno()).st_size) as bar:
        while chunk := _read_local(stream, name):
            part.write(chunk)
            bar.update(len(chunk))


def _read_local(stream: IO[bytes], name: str) -> bytes:
    try:
        return stream.read(_CHUNK)
    except OSError as error:  # a broken disk or file server: another source may do
        raise AsitError(f"{name}: cannot read: {error.strerror}") from None


def _with_tries(source: str, part: IO[bytes], tries: int, wait: float, timeout: float) -> None:
    reason = ""
    for number in range(max(tries, 1)):
        time.sleep(wait * 2 ** (number - 1) if number else 0)
        try:
            _request(source, part, timeout)
            return
        except _CutOffError as error:
            reason = str(error)
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"HTTP {error.code} {excerpt(error.reason, 160)}"
            if error.code < 500 and error.code not in (408, 429):
                break
        except _NotFetchedError as error:
            reason = str(error)
    raise AsitError(f"{shown(source)}: {reason}")


def _request(source: str, part: IO[bytes], timeout: float) -> None:
    """One request, from where the part ends."""
    have = part.seek(0, os.SEEK_END)
    headers = {"User-Agent": f"asit/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        answer = urllib.request.urlopen(urllib.request.Request(source, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416 or not have:
            raise
        error.close()
        if _total(error.headers) == have:  # the part is the whole file already
            return
        part.truncate(0)
        raise _CutOffError("the part was longer than the file") from None
    except _NETWORK_ERRORS as error:
        reason = excerpt(getattr(error, "reason", None) or error, 160)
        raise _NotFetchedError(reason or type(error).__name__) from None
    with answer:
        continued = answer.status == 206 and have > 0 and _continues(answer.headers, have)
        if not continued and have:
            part.truncate(0)  # the server sends the file from its beginning, or something else
            have = 0
        if not continued and answer.status != 200:
            raise _CutOffError(f"HTTP {answer.status}, with another part of the file than was asked for, or none")
        length = _number(answer.headers.get("Content-Length"))
        expected = have + length if length is not None else None
        total = _total(answer.headers) if continued else None
        with _bar(source, have, expected) as bar:
            while chunk := _read(answer, part):
                part.write(chunk)
                bar.update(len(chunk))
        part.flush()
    got = part.seek(0, os.SEEK_END)
    for size in (expected, total):
        if size is not None and got != size:
            raise _CutOffError(f"the connection ended after {got} of {size} bytes")


def _read(answer: Any, part: IO[bytes]) -> bytes:
    try:
        return answer.read(_CHUNK)
    except http.client.IncompleteRead as error:
        part.write(error.partial)
        raise _CutOffError("the connection ended within the file") from None
    except _NETWORK_ERRORS as error:
        raise _CutOffError(f"the connection ended: {excerpt(error, 160) or type(error).__name__}") from None


def _continues(headers: Any, have: int) -> bool:
    return str(headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _total(headers: Any) -> int | None:
    return _number(str(headers.get("Content-Range", "")).rpartition("/")[2])


def _number(text: str | None) -> int | None:
    """A number of bytes in a header; None where there is none, or one that no file has."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _hash_of_part(part: IO[bytes]) -> str:
    part.flush()
    return hash_of(part.name)


def _bar(source: str, have: int, total: int | None) -> tqdm:
    name = os.path.basename(shown(source).rstrip("/"))
    return tqdm(desc=name, initial=have, total=total, unit="B", unit_scale=True, disable=None)
