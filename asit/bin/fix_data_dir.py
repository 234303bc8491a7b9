"""Sort a data directory and drop what is not in all its tables."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from asit.config import REQUIRED, Options, group, option, parse
from asit.errors import command
from asit.kaldi.data_dir_fix import BACKUP, REMOVED, FixSettings, counts, fix

NAMED = 5  # dropped utterances that are named; removed.txt has all


@dataclass(frozen=True)
class Settings(Options):
    """Fix a Kaldi data directory: sort, intersect, write spk2utt; the originals stay in .backup/."""

    data_dir: str = option(REQUIRED, "directory to fix, in place")
    fix: FixSettings = group(FixSettings)


@command
def main() -> None:
    """``asit-fix-data-dir --data-dir data/train``."""
    settings = parse(Settings)
    done = fix(settings.data_dir, settings.fix)
    print(f"{settings.data_dir}: kept {done.kept} of {done.before} utterances, dropped {len(done.removed)} lines")
    if done.dropped:
        more = f" and {len(done.dropped) - NAMED} more" if len(done.dropped) > NAMED else ""
        print(f"  {len(done.dropped)} utterances dropped: {', '.join(done.dropped[:NAMED])}{more}")
    for reason, number in counts(done.removed).items():
        print(f"  {number} lines: {reason}")
    if done.rewritten:
        kept = f"{settings.data_dir}/{BACKUP}"
        print(f"  rewritten: {', '.join(done.rewritten)}; originals in {kept}, dropped lines in {kept}/{REMOVED}")


if __name__ == "__main__":
    sys.exit(main())
