#!/usr/bin/env python3
"""The mean and standard deviation of AudioSet's log-mels that AST, SSAST and ASiT publish, as a set's stats.yaml."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from asit.config import REQUIRED, Options, option, parse
from asit.data.features import Features
from asit.errors import command
from asit.features.stats import Stats

MEAN, STD = -4.2677393, 4.5689974  # arXiv 2104.01778, its code; of waveforms in [-1, 1]


@dataclass(frozen=True)
class Settings(Options):
    """Write the published statistics; the number of frames is the set's, which they were not computed from."""

    data_dir: str = option(REQUIRED, "data directory with utt2num_frames")


@command
def main() -> None:
    """Entry point."""
    path = parse(Settings).data_dir
    frames = int(Features(path, Stats(MEAN, STD, 1)).num_frames.sum())
    Stats(MEAN, STD, frames).save(Path(path, "stats.yaml"))
    print(f"{path}/stats.yaml: mean {MEAN}, standard deviation {STD}, as published for AudioSet")


if __name__ == "__main__":
    sys.exit(main())
