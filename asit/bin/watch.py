"""Show how far running jobs are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.launch.watch import Watcher, follow


@dataclass(frozen=True)
class Settings(Options):
    """Follow running jobs by their logs: a line for each with step, loss, speed and time left, and their warnings."""

    exp_dir: str = option("exp", "experiment folder; the jobs are those with a log in <exp-dir>/**/log")
    logs: str = option("", "follow these logs instead, such as 'exp/log/finetune.*.log'")
    pid: int = option(0, "stop when this process has ended; 0: when no job is running any more", least=0)
    since: int = option(
        0, "with --pid: logs last written before this time, in seconds since 1970, are not shown", least=0
    )


@command
def main() -> None:
    """``asit-watch --exp-dir exp``."""
    settings = parse(Settings)
    pattern = Path(settings.logs or Path(settings.exp_dir, "**", "log", "*.log"))
    root = Path(pattern.anchor or ".")

    def find() -> list[Path]:
        return list(root.glob(str(pattern.relative_to(pattern.anchor) if pattern.anchor else pattern)))

    watcher = Watcher(find, since=settings.since if settings.pid else 0)
    if not follow(watcher, settings.pid) and not settings.pid:
        raise AsitError(f"{pattern}: no job is running (a log without an end line); nothing to follow")


if __name__ == "__main__":
    sys.exit(main())
