#!/usr/bin/env python3
"""Write corpus/splits/*.tsv (path, label, seconds) from corpus/manifest.tsv. A function of the manifest alone.

pool                     pretraining: no held-out prompt, neither of the voices ivrvoice and menardi
spk_{train,valid,test}   speaker identification, disjoint by prompt; spk_train_10pct_<draw> and spk_train_few_<draw>
                         are nested subsets of spk_train, three draws, a share of each speaker's clips
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from manifest import Entry, read_manifest
from selection import rank

from asit.config import Options, option, parse
from asit.errors import command
from asit.io.atomic import write_text

DRAWS = (0, 1, 2)
FEW = 3  # clips a speaker


@dataclass(frozen=True)
class SplitSettings(Options):
    """Where the corpus is."""

    corpus: str = option("corpus", "folder with manifest.tsv")


def label_subset(train: list[Entry], draw: int, share: float) -> list[Entry]:
    """`share` of each speaker's clips, at least `FEW`: the first of an order that depends on the draw only."""
    by_speaker: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(train, key=lambda e: rank("draw", str(draw), e.path)):
        by_speaker[entry.speaker].append(entry)
    kept = [e for own in by_speaker.values() for e in own[: max(FEW, round(share * len(own)))]]
    return sorted(kept, key=lambda e: e.path)


def splits(entries: list[Entry]) -> dict[str, list[tuple[Entry, str]]]:
    """Set name -> (clip, label)."""
    train = [e for e in entries if e.role in ("pool", "train")]
    sets = {"pool": [(e, "-") for e in entries if e.role == "pool"]}
    speakers = {"spk_train": train}
    for draw in DRAWS:
        speakers[f"spk_train_10pct_{draw}"] = label_subset(train, draw, 0.1)
        speakers[f"spk_train_few_{draw}"] = label_subset(train, draw, 0.0)
    speakers |= {f"spk_{part}": [e for e in entries if e.role == part] for part in ("valid", "test")}
    sets |= {name: [(e, e.speaker) for e in own] for name, own in speakers.items()}
    return sets


@command
def main() -> None:
    """Write one file a set."""
    corpus = Path(parse(SplitSettings).corpus)
    for name, rows in splits(read_manifest(corpus)).items():
        lines = ["path\tlabel\tseconds", *(f"{e.path}\t{label}\t{e.seconds}" for e, label in rows)]
        write_text(corpus / "splits" / f"{name}.tsv", "\n".join(lines) + "\n")
        print(f"{name}: {len(rows)} clips, {sum(e.seconds for e, _ in rows) / 60:.2f} minutes")


if __name__ == "__main__":
    raise SystemExit(main())
