#!/usr/bin/env python3
"""LibriSpeech -> data/{all,pool,train,valid,test_clean,test_other}/{wav.scp,utt2spk,spk2utt,text}."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from librispeech import SETS, counts, find, utterances

from asit.config import Options, option, parse
from asit.errors import command
from asit.kaldi.data_dir import write_data_dir


@dataclass(frozen=True)
class PrepareSettings(Options):
    """Where the corpus is and where the data directories go."""

    corpus: str = option("downloads", "folder with train-clean-100 and the others, or with LibriSpeech")
    archives: str = option("local/archives.tsv", "how many utterances each part has")
    data: str = option("data", "folder to write the data directories into")
    check_counts: bool = option(True, "fail unless there are as many utterances as are published")


@command
def main() -> None:
    """Write one data directory a set."""
    settings = parse(PrepareSettings)
    folder, expected = find(settings.corpus), counts(settings.archives) if settings.check_counts else {}
    sets = {name: utterances(folder, part, expected.get(part)) for name, part in SETS.items()}
    sets = {"all": sorted(u for rows in sets.values() for u in rows), "pool": sets["train"], **sets}
    for name, rows in sets.items():
        tables = {"wav.scp": {u.utt: u.path for u in rows}, "utt2spk": {u.utt: u.speaker for u in rows}}
        if name != "pool":  # pretraining hears, it does not read
            tables["text"] = {u.utt: u.text for u in rows}
        write_data_dir(Path(settings.data, name), tables)
        print(f"{settings.data}/{name}: {len(rows)} utterances of {len({u.speaker for u in rows})} speakers")


if __name__ == "__main__":
    raise SystemExit(main())
