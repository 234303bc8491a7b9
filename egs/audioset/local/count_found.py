#!/usr/bin/env python3
"""After feature extraction: leave out what has no features, and tell found and expected of every set.

Segments whose audio could not be read (``data/all/failed_utts``, fewer than 5 %) move from a set's tables to its
``missing_utts``. ``data/found.md`` is the table that the report shows above the scores.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from asit.config import REQUIRED, Options, option, parse
from asit.errors import command
from asit.io.atomic import write_text
from asit.kaldi.data_dir import DataDir, write_data_dir
from asit.kaldi.table import read_text
from asit.recipes.record import write_json

NAME = "missing_utts"


@dataclass(frozen=True)
class Settings(Options):
    """Leave out segments without features and count what is there."""

    data: str = option("data", "folder of the data directories")
    sets: tuple[str, ...] = option(REQUIRED, "sets to treat")


def reasons(path: Path) -> dict[str, str]:
    """utterance -> reason of a list of missing ones; {} where there is none."""
    if not path.exists():
        return {}
    return dict(line.partition(" ")[::2] for line in read_text(str(path)).splitlines())


def leave_out(path: Path, failed: dict[str, str]) -> tuple[int, dict[str, str]]:
    """(utterances that stay, reasons of all missing ones) of a set after what failed has left it."""
    data, missing = DataDir(str(path)), reasons(path / NAME)
    gone = {utt: failed[utt] for utt in data.utts if utt in failed}
    if not gone:
        return len(data.utts), missing
    missing |= {utt: f"features failed: {why}" for utt, why in gone.items()}
    write_text(path / NAME, "".join(f"{utt} {missing[utt]}\n" for utt in sorted(missing)))
    # Every table has a line for each utterance. utt2spk, which was asked what has gone, is written last.
    names = sorted(data.tables(), key=lambda name: name == "utt2spk")
    write_data_dir(path, {n: {k: v for k, v in data.table(n).items() if k not in gone} for n in names})
    return len(data.utts) - len(gone), missing


@command
def main() -> None:
    """Entry point."""
    settings = parse(Settings)
    failed = reasons(Path(settings.data, "all", "failed_utts"))
    rows, counts = [], {}
    for name in ("all", *settings.sets):
        there, missing = leave_out(Path(settings.data, name), failed)
        broken = sum(why.startswith("features failed") for why in missing.values())
        total = there + len(missing)
        counts[name] = {"found": there, "expected": total}
        if name != "all":
            rows.append(
                f"| {name} | {total} | {there} | {100 * there / total:.2f} % | {len(missing) - broken} | {broken} |"
            )
        why = f"{len(missing) - broken} without audio, {broken} unreadable"
        print(f"{settings.data}/{name}: found {there} of {total} segments ({why})")
    head = [
        "Clips found and expected; scores are of the found ones, the others are in `data/<set>/missing_utts`.",
        "",
        "| set | official segments | found | share | without audio | unreadable |",
        "|---|---|---|---|---|---|",
    ]
    hashes = [f"- {line}" for line in read_text(str(Path(settings.data, "lists.sha256"))).splitlines()]
    text = [*head, *rows, "", "Lists used (sha256):", "", *hashes]
    write_text(Path(settings.data, "found.md"), "\n".join(text) + "\n")
    write_json(Path(settings.data, "found.json"), counts)


if __name__ == "__main__":
    sys.exit(main())
