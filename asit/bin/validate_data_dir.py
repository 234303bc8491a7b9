"""Check a data directory and list everything that is wrong with it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from asit.config import REQUIRED, Options, group, option, parse
from asit.errors import AsitError, command
from asit.kaldi.data_dir import DataDir
from asit.kaldi.data_dir_validate import Checks, find_problems


@dataclass(frozen=True)
class Settings(Options):
    """Check a Kaldi data directory: every problem with its file and line, exit code 1 if there is any."""

    data_dir: str = option(REQUIRED, "directory to check")
    max_problems: int = option(100, "list this many problems, then only count")
    checks: Checks = group(Checks)


@command
def main() -> None:
    """``asit-validate-data-dir --data-dir data/train``."""
    settings = parse(Settings)
    problems = find_problems(settings.data_dir, settings.checks)
    for problem in problems[: settings.max_problems]:
        print(problem, file=sys.stderr)
    if problems:
        unlisted = len(problems) - settings.max_problems
        more = f" ({unlisted} not listed; --max-problems)" if unlisted > 0 else ""
        number = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise AsitError(f"{settings.data_dir}: {number}{more}; asit-fix-data-dir fixes the order of lines and spk2utt")
    data = DataDir(settings.data_dir)
    print(f"{settings.data_dir}: {len(data.utts)} utterances, {len(data.spk2utt)} speakers: right")


if __name__ == "__main__":
    sys.exit(main())
