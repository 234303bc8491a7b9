"""The folder of a training run: whose run it holds, whether that is finished, and what becomes of another one's.

A run is known by its *identity*: all options that change what is computed, and digests of the data, labels and files
that it learns from. It stands in every checkpoint and in ``done.json``, and is compared in one way wherever it is read.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asit.config import to_dict
from asit.errors import AsitError, excerpt
from asit.io import json_object
from asit.io.atomic import free_name, write_text
from asit.io.checksum import hash_of
from asit.train import distributed
from asit.train.checkpoint import CheckpointDir
from asit.train.distributed import Place
from asit.train.run_log import start_log

log = logging.getLogger(__name__)
DONE = "done.json"
LOCK = ".lock"
DIGESTS = {  # facts of an identity that are digests, and what it means when they differ
    "data": "the clips, their features, front end or statistics have changed",
    "train_data": "the training clips, their features or labels, or the classes have changed",
    "valid_data": "the validation clips, their features or labels have changed",
    "backbone": "the backbone's file has changed",
    "imagenet": "the file of ImageNet weights has changed",
}
MANY = 200  # characters of a value that a message shows


def identity(settings: Any, **facts: Any) -> dict[str, Any]:
    """What makes two runs the same: the options that change the result, and ``facts`` such as digests of the data."""
    return json.loads(json.dumps({**to_dict(settings, free=False), **facts}))


def file_digest(path: str | os.PathLike[str]) -> str:
    """Hash of a file's content, 16 hexadecimal digits.

    Raises:
        AsitError: it cannot be read.
    """
    try:
        return hash_of(path)[:16]
    except OSError as error:
        raise AsitError(f"{os.fspath(path)}: cannot read: {error.strerror}") from None


def differences(saved: Any, now: Mapping[str, Any]) -> str:
    """How a saved identity differs from this run's: ``lr: 0.001 then, 0.002 now; the ... have changed``; empty when
    it does not. Of the digests in DIGESTS only that they differ is of interest."""
    if not isinstance(saved, dict):
        return "it does not say which (an older version of asit made it)"
    names = dict.fromkeys(itertools.chain(saved, now))
    absent = object()
    odd = [n for n in names if saved.get(n, absent) != now.get(n, absent)]
    return "; ".join(DIGESTS[n] if n in DIGESTS else f"{n}: {_shown(saved, n)} then, {_shown(now, n)} now" for n in odd)


def _shown(values: Mapping[str, Any], name: str) -> str:
    return excerpt(repr(values[name]), MANY) if name in values else "not said"


def claim(out_dir: Path, who: Mapping[str, Any], place: Place, restart_changed: bool) -> dict[str, Any] | None:
    """Make sure that the folder holds this run or none; what ``done.json`` says if it is finished, else None.

    Another run, one with other options or data, is refused, or with ``restart_changed`` put aside. All ranks call this.

    Raises:
        AsitError: another run; the message names what differs.
    """
    answer = ""
    if place.main:
        try:
            answer = json.dumps([_claim(out_dir, who, restart_changed), ""])
        except AsitError as error:
            answer = json.dumps([None, str(error)])
    done, problem = json.loads(distributed.from_main(answer))
    if problem:
        raise AsitError(problem)
    return done


def finish(out_dir: Path, who: Mapping[str, Any], **facts: Any) -> None:
    """Write ``done.json``: the run is finished, and all that it leaves is there."""
    write_text(out_dir / DONE, json.dumps({**facts, "identity": dict(who)}, indent=2, allow_nan=False) + "\n")


def put_aside(out_dir: Path) -> Path:
    """Move what a folder holds, but its lock, into ``<folder>.old-<n>``; the new folder."""
    old = free_name(out_dir)
    old.mkdir()
    # done.json goes first: a folder that is moved only in part never looks finished.
    for name in sorted(os.listdir(out_dir), key=lambda name: name != DONE):
        if name != LOCK:
            os.replace(out_dir / name, old / name)
    return old


def _claim(out_dir: Path, who: Mapping[str, Any], restart_changed: bool) -> dict[str, Any] | None:
    done = _read_done(out_dir / DONE)
    where, different = "", ""
    if done is not None:
        where, different = str(out_dir / DONE), differences(done.get("identity"), who)
    else:
        found = CheckpointDir(out_dir / "checkpoints").newest_marker()
        if found is not None:
            where, different = str(found[0]), differences(found[1].get("identity"), who)
    if not different:
        return done
    message = f"{where}: this run was begun with other settings or data: {different}"
    if not restart_changed:
        raise AsitError(
            f"{message}{_hint(different)}; restore them, give another --out-dir, or use --restart-changed true, which "
            f"keeps this run as {out_dir}.old-<n> and starts over"
        )
    old = put_aside(out_dir)
    start_log(out_dir, main=True)  # the log has moved too
    log.warning("%s; it is kept in %s, and training starts over", message, old)
    return None


def _hint(different: str) -> str:
    if "global_batch" in different:
        return " (global batch = --batch-size x processes x --accum: keep the product)"
    return ""


def _read_done(path: Path) -> dict[str, Any] | None:
    """What a finished run says of itself; None when there is none, or when the file is damaged (then the last
    checkpoint is checked and exported again)."""
    if not path.exists():
        return None
    try:
        return json_object.load(path, "the last checkpoint counts")
    except AsitError as error:
        log.warning("%s", error)
        return None
