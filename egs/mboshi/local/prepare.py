#!/usr/bin/env python3
"""Mboshi -> data/{all,pool,train,valid,test}/{wav.scp,utt2spk,spk2utt,text}; data/all for the features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mboshi import Utterance, find, is_held_out, repaired, utterances

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.kaldi.data_dir import write_data_dir


@dataclass(frozen=True)
class PrepareSettings(Options):
    """Where the corpus is and where the data directories go."""

    corpus: str = option("downloads/mboshi", "folder with full_corpus_newsplit, or one that holds it")
    data: str = option("data", "folder to write the data directories into")
    check_counts: bool = option(True, "fail unless there are as many recordings as are published")


def sets_of(corpus: str, check_counts: bool, copies: Path) -> dict[str, list[Utterance]]:
    """The official dev part is the test set; the training part gives train and, by sentence, valid."""
    folder = find(corpus)
    official = [repaired(u, copies) for u in utterances(folder, "train", check_counts)]
    valid = [u for u in official if is_held_out(u.text)]
    train = [u for u in official if not is_held_out(u.text)]
    test = [repaired(u, copies) for u in utterances(folder, "dev", check_counts)]
    for name, rows in (("train", train), ("valid", valid), ("test", test)):
        if not rows:
            raise AsitError(f"{corpus}: no recording for the set {name}; take more of the corpus")
    return {"all": official + test, "pool": train, "train": train, "valid": valid, "test": test}


@command
def main() -> None:
    """Write one data directory a set."""
    settings = parse(PrepareSettings)
    copies = Path(settings.data, "repaired")
    for name, rows in sets_of(settings.corpus, settings.check_counts, copies).items():
        tables = {
            "wav.scp": {u.utt: u.path for u in rows},
            "utt2spk": {u.utt: u.speaker for u in rows},
        }
        if name != "pool":  # pretraining hears, it does not read
            tables["text"] = {u.utt: u.text for u in rows}
        write_data_dir(Path(settings.data, name), tables)
        heads = sum(Path(u.path).parent == copies for u in rows)
        print(
            f"{settings.data}/{name}: {len(rows)} utterances, {len({u.text for u in rows})} different sentences, "
            f"{heads} recordings with a repaired head"
        )


if __name__ == "__main__":
    raise SystemExit(main())
