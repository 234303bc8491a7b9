#!/usr/bin/env python3
"""Print one checksum over the names and contents of all files below a folder, links followed.

    tools/checksum_folder.py FOLDER CACHE

A file is read when its size, inode or change time (ctime, which no program can set) is not the one that CACHE has for
it, so a large corpus is read once. For run.sh, which has to tell a changed folder from a copied one; standard library
only, since ``run.sh --status`` works without the environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import zlib


def main(folder: str, cache: str) -> None:
    """Print the checksum and the number of files; renew the cache."""
    try:
        with open(cache, encoding="utf-8", errors="surrogateescape") as stream:
            known = json.load(stream)
    except (OSError, ValueError):
        known = {}
    known = known if isinstance(known, dict) else {}
    top, found = os.path.abspath(folder), {}
    for path in sorted(files(folder)):
        facts = os.stat(path)
        mark = f"{facts.st_size} {facts.st_ino} {facts.st_ctime_ns}"
        before = known.get(os.path.abspath(path))
        crc = before[1] if isinstance(before, list) and before[:1] == [mark] else crc_of(path)
        found[os.path.abspath(path)] = [mark, crc]
    kept = {path: facts for path, facts in known.items() if not path.startswith(top + os.sep)}
    if found != {path: known[path] for path in known.keys() - kept.keys()}:
        with contextlib.suppress(OSError):  # without a cache the next call reads everything again, no more
            os.makedirs(os.path.dirname(cache) or ".", exist_ok=True)
            with open(f"{cache}.{os.getpid()}", "w", encoding="utf-8", errors="surrogateescape") as stream:
                json.dump({**kept, **found}, stream, indent=0)
            os.replace(f"{cache}.{os.getpid()}", cache)
    total = 0
    for path, (_, crc) in found.items():
        total = zlib.crc32(b"%s\0%d\0" % (os.fsencode(os.path.relpath(path, top)), crc), total)
    print(total, len(found))


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
