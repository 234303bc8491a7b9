"""Checkpoints that survive crashes: written aside, fsynced, renamed, and believed only with their marker.

A checkpoint is ``step-<n>.pt`` and, written after it, ``step-<n>.json`` (the marker) with its size and sha256.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import pickle
import re
import socket
import time
from pathlib import Path
from typing import Any

import torch

from asit.errors import AsitError, excerpt
from asit.io import json_object
from asit.io.atomic import atomic_open, write_text
from asit.io.checksum import hash_of

log = logging.getLogger(__name__)
FORMAT = 1


class CheckpointDir:
    """The checkpoints of one run: ``<out_dir>/checkpoints``. Only the main rank saves."""

    def __init__(self, path: str | os.PathLike[str], keep: int = 2) -> None:
        self.path, self.keep = Path(path), keep

    def steps(self) -> list[int]:
        """Steps that have a checkpoint file, complete or not, oldest first."""
        found = [re.fullmatch(r"step-(\d+)\.pt", p.name) for p in self.path.glob("step-*.pt")]
        return sorted(int(m.group(1)) for m in found if m)

    def file(self, step: int) -> Path:
        """The checkpoint file of a step."""
        return self.path / f"step-{step:08d}.pt"

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint (tensors and plain containers), then drop the oldest beyond ``keep``."""
        self.path.mkdir(parents=True, exist_ok=True)
        final = self.file(step)
        marker = final.with_suffix(".json")
        marker.unlink(missing_ok=True)  # of a file that is about to be replaced
        try:
            with atomic_open(final, "wb") as stream:
                torch.save({"format": FORMAT, **state}, stream)
        except RuntimeError as error:  # torch's writer hides the cause
            raise AsitError(f"{final}: cannot write the checkpoint: {error}; is the disk full?") from None
        facts = {"step": step, "bytes": final.stat().st_size, "sha256": hash_of(final)}
        write_text(marker, json.dumps({**facts, "identity": state.get("identity")}))
        complete = [s for s in self.steps() if self.file(s).with_suffix(".json").exists()]
        for old in complete[: -self.keep]:
            self.file(old).with_suffix(".json").unlink(missing_ok=True)
            self.file(old).unlink(missing_ok=True)

    def load_newest(self) -> tuple[int, dict[str, Any]] | None:
        """The newest complete checkpoint, on the CPU; damaged ones are passed over with a message.

        Raises:
            AsitError: there are checkpoints and none can be used.
        """
        steps = self.steps()
        damaged = 0
        for step in reversed(steps):
            if not self.file(step).with_suffix(".json").exists():
                log.warning("%s: has no marker, so it was never completed: passing over it", self.file(step))
                continue
            try:
                return step, self.load(step)
            except AsitError as error:
                damaged += 1
                log.warning("passing over a damaged checkpoint: %s", error)
        if damaged:
            raise AsitError(
                f"{self.path}: none of the {damaged} completed checkpoints is usable (see the warnings): restore them "
                f"from a copy, or rename {self.path} to begin from the first update"
            )
        return None

    def newest_marker(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest marker that can be read, and what it says; the checkpoints themselves are not looked at."""
        for step in reversed(self.steps()):
            marker = self.file(step).with_suffix(".json")
            with contextlib.suppress(AsitError):
                return marker, _read_marker(marker)
        return None

    def load(self, step: int) -> dict[str, Any]:
        """One checkpoint, verified against its marker.

        Raises:
            AsitError: no marker, a wrong size or hash, or content that is not tensors and plain containers.
        """
        path = self.file(step)
        facts = _read_marker(path.with_suffix(".json"))
        try:
            size = path.stat().st_size
            if size != facts.get("bytes"):
                raise AsitError(f"{path}: expected {facts.get('bytes')} bytes, found {size}")
            if hash_of(path) != facts.get("sha256"):
                raise AsitError(f"{path}: its content does not match the marker's sha256")
        except OSError as error:
            raise AsitError(f"{path}: cannot read it: {error.strerror}") from None
        return load_tensors(path)

    def sweep(self) -> None:
        """Remove what a killed run left: temporary files and markers without a checkpoint."""
        for orphan in self.path.glob("step-*.tmp-*"):
            log.info("removing %s, left by a run that was killed", orphan)
            orphan.unlink(missing_ok=True)
        for marker in self.path.glob("step-*.json"):
            if not marker.with_suffix(".pt").exists():
                marker.unlink(missing_ok=True)


def _read_marker(path: Path) -> dict[str, Any]:
    """What a marker says.

    Raises:
        AsitError: it is missing, not JSON, or of another form.
    """
    remedy = "without it the checkpoint is not used"
    facts = json_object.load(path, remedy)
    for name, kind in (("bytes", int), ("sha256", str)):
        json_object.member(facts, name, kind, str(path), remedy)
    return facts


def load_tensors(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A file written by ``torch.save``, read without running any code that it may carry.

    Raises:
        AsitError: unreadable, damaged, of another format, or holding anything but tensors and plain containers.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise AsitError(
            f"{path}: refused: it holds more than tensors and plain containers, and loading it could run foreign code"
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = excerpt(error, 200) or "it is empty"  # of an empty file torch says nothing
        raise AsitError(f"{path}: cannot be read as a checkpoint: {reason}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise AsitError(f"{path}: not a checkpoint of this program (format {FORMAT})")
    return state


LOCK_WAIT = "ASIT_LOCK_WAIT"
"""Variable: seconds to wait for a lock. A scheduler's job sets it, for after the loss of a node a process of the
earlier run may live on there for a while."""


class DirLock:
    """Keeps two runs out of one directory (``fcntl`` on ``.lock``); it ends with its process, however that ends."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.path = Path(directory) / ".lock"
        self._stream: Any = None

    def __enter__(self) -> DirLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        stream = open(self.path, "a+", encoding="utf-8")
        limit, told = time.monotonic() + float(os.environ.get(LOCK_WAIT) or 0), False
        while True:
            try:
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    log.warning("%s: this file system has no locks (%s): see to it that no second run writes here",
                                self.path.parent, error.strerror)  # fmt: skip
                    break
            stream.seek(0)
            holder = stream.read().strip() or "an unknown process"
            if time.monotonic() >= limit:
                stream.close()
                raise AsitError(
                    f"{self.path.parent}: in use by {holder}; wait for it, stop it, or give another --out-dir"
                ) from None
            if not told:
                log.warning("%s: in use by %s; waiting", self.path.parent, holder)
                told = True
            time.sleep(0.2)
        stream.truncate(0)
        stream.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%dT%H:%M:%S')}\n")
        stream.flush()
        self._stream = stream
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.truncate(0)
        self._stream.close()
