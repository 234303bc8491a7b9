"""Where a number came from: command, git revision, date, hardware and versions."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

import asit


def provenance() -> dict[str, Any]:
    """Flat, JSON-friendly facts of this process; an unknown fact is an empty string."""
    revision, dirty = git_revision(Path(asit.__file__).parent)
    return {
        "command": shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "git": revision,
        "dirty": dirty,
        "asit": asit.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        **hardware(),
    }


def git_revision(folder: Path) -> tuple[str, bool]:
    """(short commit, whether tracked files differ from it) of the work tree that ``folder`` belongs to; ("", False)
    outside of one, in one that ignores it (an environment within another project), or without git."""
    try:
        _git(folder, "ls-files", "--error-unmatch", ".")
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        return commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "", False


def hardware() -> dict[str, Any]:
    """CPU model, usable cores, memory in GiB (0 when unknown) and GPU names."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"cpu": _cpu_model(), "cores": _cores(), "ram_gib": _ram_gib(), "gpu": ", ".join(gpus)}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ram_gib() -> int:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (ValueError, OSError, AttributeError):
        return 0
