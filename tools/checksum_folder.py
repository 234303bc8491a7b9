#!/usr/bin/env python3
"""Print one checksum over the names and contents of all files below a folder, links followed.

    tools/checksum_folder.py FOLDER CACHE

A file is read when its size, inode or change time (ctime, which no program can set) is not the one that CACHE has for
it, so a large corpus is read once, before its first stage. For run.sh, which has to tell a changed folder from a copied
one; standard library only, since ``run.sh --status`` works without the environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor


def main(folder: str, cache: str) -> None:
    """Print the checksum and the number of files; renew the cache."""
    try:
        with open(cache, encoding="utf-8", errors="surrogateescape") as stream:
            known = json.load(stream)
    except (OSError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}
    top = os.path.abspath(folder)
    marks = {path: mark_of(path) for path in sorted(files(top))}
    new = [path for path, mark in marks.items() if not is_entry(known.get(path), mark)]
    with ThreadPoolExecutor(8) as pool:  # many small files on a network file system
        crcs = dict(zip(new, pool.map(crc_of, new), strict=True))
    found = {path: [mark, crcs[path] if path in crcs else known[path][1]] for path, mark in marks.items()}
    kept = {path: facts for path, facts in known.items() if not path.startswith(top + os.sep)}
    if found != {path: known[path] for path in known.keys() - kept.keys()}:
        write(cache, {**kept, **found})
    total = 0
    for path, (_, crc) in found.items():
        total = zlib.crc32(b"%s\0%d\0" % (os.fsencode(os.path.relpath(path, top)), crc), total)
    print(total, len(found))


def write(cache: str, content: dict[str, list]) -> None:
    """Replace the cache; when that fails, the next call reads everything again, no more."""
    own = f"{cache}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(cache) or ".", exist_ok=True)
        with open(own, "w", encoding="utf-8", errors="surrogateescape") as stream:
            json.dump(content, stream, indent=0)
        os.replace(own, cache)
    except OSError:
        with contextlib.suppress(OSError):
            os.remove(own)


def mark_of(path: str) -> str:
    """What changes when a file's content does."""
    facts = os.stat(path)
    return f"{facts.st_size} {facts.st_ino} {facts.st_ctime_ns}"


def is_entry(entry: object, mark: str) -> bool:
    """Whether an entry of the cache is whole and of this mark."""
    return isinstance(entry, list) and len(entry) == 2 and entry[0] == mark and isinstance(entry[1], int)


def files(folder: str) -> list[str]:
    """Every regular file below a folder; a link that leads back into its own path is followed once."""
    found, seen = [], set()

    def fail(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=fail, followlinks=True):
        here = os.stat(place)
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders.sort()
        found += [path for name in names if os.path.isfile(path := os.path.join(place, name))]
    return found


def crc_of(path: str) -> int:
    """CRC-32 of a file's content."""
    crc = 0
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(f"checksum_folder.py: error: {error.filename}: {error.strerror}")
