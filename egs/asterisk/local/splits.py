"""Which clip is in which set: a function of the manifest alone.

pool                     pretraining: prompts of spk_train by the voices that are not UNHEARD
spk_{train,valid,test}   who speaks, disjoint by prompt; spk_train_10pct_<draw> and spk_train_2pct_<draw> are nested
                         subsets of spk_train, a share of each speaker's clips, in three draws
"""

from __future__ import annotations

import hashlib
from collections import defaultdict

from corpus import Clip

# Never pretrained on, so that the test also has speakers of whom only labelled clips are known.
UNHEARD = ("ivrvoice_ru", "menardi_it", "armelle_fr")
SHARES = {"test": 0.32, "valid": 0.06}  # of the prompts
DRAWS = (0, 1, 2)
SUBSETS = {"10pct": 0.10, "2pct": 0.02}  # of each speaker's labels
LEAST = 3  # clips a speaker


def rank(*words: str) -> str:
    """A fixed pseudo-random order: sort by this.

    >>> rank("a", "b") == rank("a", "b") != rank("b", "a")
    True
    """
    return hashlib.sha256(" ".join(words).encode()).hexdigest()


def part_of(prompt: str) -> str:
    """train, valid or test: a function of the prompt's name alone, the same for all voices."""
    x = int(rank("part", prompt)[:8], 16) / 2**32
    if x < SHARES["valid"]:
        return "valid"
    return "test" if x < SHARES["valid"] + SHARES["test"] else "train"


def label_subset(train: list[Clip], draw: int, share: float) -> list[Clip]:
    """`share` of each speaker's clips, at least `LEAST`: the first of an order that depends on the draw only."""
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    for clip in sorted(train, key=lambda c: rank("draw", str(draw), c.path)):
        by_speaker[clip.voice.speaker].append(clip)
    kept = [c for own in by_speaker.values() for c in own[: max(LEAST, round(share * len(own)))]]
    return sorted(kept, key=lambda c: c.path)


def splits(clips: list[Clip]) -> dict[str, dict[str, tuple[Clip, str]]]:
    """Set -> utterance -> (clip, label); the label of `all` and `pool` is empty."""
    part = {name: [c for c in clips if part_of(c.prompt) == name] for name in ("train", "valid", "test")}
    speakers = {f"spk_{name}": own for name, own in part.items()}
    for draw in DRAWS:
        for name, share in SUBSETS.items():
            speakers[f"spk_train_{name}_{draw}"] = label_subset(part["train"], draw, share)
    sets = {"all": [(c, "") for c in clips]}
    sets["pool"] = [(c, "") for c in part["train"] if c.voice.voice not in UNHEARD]
    sets |= {name: [(c, c.voice.speaker) for c in own] for name, own in speakers.items()}
    return {name: {c.utt: (c, label) for c, label in rows} for name, rows in sets.items()}
