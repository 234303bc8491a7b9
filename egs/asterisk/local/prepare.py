#!/usr/bin/env python3
"""Clips -> data/<set>/{wav.scp,utt2spk,spk2utt,utt2dur,utt2label,labels.txt}; splits.py says which sets there are.

Run from the recipe directory: wav.scp holds the clips' paths as they are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus import read_clips, read_voices
from splits import splits

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.kaldi.data_dir import write_data_dir, write_labels


@dataclass(frozen=True)
class PrepareSettings(Options):
    """Where the clips are and where the data directories go."""

    clips: str = option("downloads/clips", "folder of the clips, one folder a voice")
    data: str = option("data", "folder to write the data directories into")


@command
def main() -> None:
    """Write one data directory for each set."""
    settings = parse(PrepareSettings)
    folder = Path(settings.clips)
    clips = read_clips(read_voices())
    missing = [clip.path for clip in clips if not (folder / clip.path).is_file()]
    if missing:
        raise AsitError(
            f"{folder}: {len(missing)} of {len(clips)} clips are missing, the first is {missing[0]}; "
            "run stage download again: --stage download --force true"
        )
    sets = splits(clips)
    for name, rows in sets.items():
        tables = {
            "wav.scp": {utt: str(folder / clip.path) for utt, (clip, _) in rows.items()},
            "utt2spk": {utt: clip.voice.speaker for utt, (clip, _) in rows.items()},
            "utt2dur": {utt: str(clip.seconds) for utt, (clip, _) in rows.items()},
        }
        labels = {utt: label for utt, (_, label) in rows.items() if label}
        if labels:
            tables["utt2label"] = labels
        write_data_dir(Path(settings.data, name), tables)
        if labels:  # one label map for all sets of a task, whichever labels a small subset has
            train = sets[f"{name.split('_')[0]}_train"]
            write_labels(Path(settings.data, name, "labels.txt"), sorted({label for _, label in train.values()}))
        minutes = sum(clip.seconds for clip, _ in rows.values()) / 60
        print(f"{Path(settings.data, name)}: {len(rows)} utterances, {minutes:.2f} minutes")


if __name__ == "__main__":
    raise SystemExit(main())
