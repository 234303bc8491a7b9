"""The transcribed utterances of a data directory, whole and in order. Letters: B utterances, T frames, F mel bins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from asit.config import Options, option
from asit.data.features import Features
from asit.data.sampler import Key
from asit.data.tokens import UNKNOWN, Tokens
from asit.errors import AsitError
from asit.features.stats import Stats
from asit.kaldi.data_dir import DataDir

CACHE_BYTES = 2**30  # features of sets below this size stay in memory after the first pass


@dataclass(frozen=True)
class LeaveOutSettings(Options):
    """Which utterances cannot be learned from."""

    max_frames: int = option(
        3000, "utterances with more frames are left out of the training: what bounds its memory", least=1
    )
    max_left_out: float = option(
        0.05,
        "share of the training utterances that may be left out: longer than max_frames, more units than time steps, "
        "characters without a unit",
        least=0,
        below=1,
    )


class Utterances:
    """Features and transcripts of the utterances in ``text``.

    Attributes:
        features: of the directory. utts: with features, in order. texts: their transcripts, words separated by one
            space. missing: utterances of ``text`` without features. expected: how many there should be.
        lengths: frames of each, int64. left_out: utterance -> why it is not trained on (:meth:`for_training`).

    Raises:
        AsitError: no ``text``, an empty transcript, an utterance with features and no transcript, a larger share
            without features than ``max_missing``, no utterance at all.
    """

    def __init__(self, path: str, stats: Stats, max_missing: float = 0.05) -> None:
        data = DataDir(path)
        self.path, self.features = path, Features(path, stats)
        text = {utt: " ".join(words.split()) for utt, words in data.text.items()}
        empty = [utt for utt, words in text.items() if not words]
        if empty:
            raise AsitError(
                f"{data.file('text')}: utterance '{empty[0]}': expected a transcript, found none ({len(empty)} in all)"
                "; write what is said, or take the utterance out of utt2spk and run asit-fix-data-dir"
            )
        index = {utt: i for i, utt in enumerate(self.features.utts)}
        silent = next((utt for utt in index if utt not in text), None)
        if silent is not None:
            raise AsitError(
                f"{data.file('text')}: utterance '{silent}' has features but no transcript; add its line, or take it "
                "out of utt2spk and run asit-fix-data-dir"
            )
        self.missing = [utt for utt in text if utt not in index]
        self.expected = len(text)
        if len(self.missing) > max_missing * len(text) or not index:
            raise AsitError(
                f"{data.file('feats.scp')}: {len(self.missing)} of {len(text)} utterances of text have no features, "
                f"the first is {self.missing[0] if self.missing else 'none'}; extract them, or raise --max-missing"
            )
        self.utts = [utt for utt in text if utt in index]
        self.texts = [text[utt] for utt in self.utts]
        self._indices = np.array([index[utt] for utt in self.utts])
        self.lengths = self.features.num_frames[self._indices]
        self.targets: list[np.ndarray] = []
        self.left_out: dict[str, str] = {}
        self._cache: dict[int, np.ndarray] | None = None
        if int(self.lengths.sum()) * self.features.num_mels * 4 < CACHE_BYTES:
            self._cache = {}

    def for_training(self, tokens: Tokens, stride: int, settings: LeaveOutSettings) -> Utterances:
        """Encode the transcripts and keep the utterances that can be learned from; ``left_out`` has the others.

        Args:
            stride: frames between two time steps of the network, of which CTC needs one for each unit and one more
                between two equal ones.

        Raises:
            AsitError: more of them than ``max_left_out``; names the first one and what to do.
        """
        kept, path = [], DataDir(self.path).file("text")
        for i, (utt, text) in enumerate(zip(self.utts, self.texts, strict=True)):
            units = np.array(tokens.encode(text), dtype=np.int64)
            need, steps = steps_needed(units), -(-int(self.lengths[i]) // stride)
            if UNKNOWN in units:
                self.left_out[utt] = f"'{tokens.unknown(text)}' has no unit in {tokens.source}"
            elif need > steps:
                self.left_out[utt] = (
                    f"{len(units)} units need {need} time steps, its {self.lengths[i]} frames are {steps}"
                )
            elif self.lengths[i] > settings.max_frames:
                self.left_out[utt] = f"{self.lengths[i]} frames, more than the {settings.max_frames} of --max-frames"
            else:
                kept.append(i)
                self.targets.append(units)
        if len(self.left_out) > settings.max_left_out * len(self.utts) or not kept:
            utt, why = next(iter(self.left_out.items()))
            raise AsitError(
                f"{path}: utterance '{utt}': {why} ({len(self.left_out)} of {len(self.utts)} cannot be trained on); "
                "train the units on this text, with fewer and longer ones (asit-train-tokens --vocab-size), lower "
                "--time-stride, or raise --max-left-out"
            )
        self.utts, self.texts = [self.utts[i] for i in kept], [self.texts[i] for i in kept]
        self._indices, self.lengths = self._indices[kept], self.lengths[kept]
        return self

    def __len__(self) -> int:
        return len(self.utts)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """``{"feats": float32 (T, F) normalised, "utt": str, "target": int64 (units,)}``, for training."""
        feats = self._read(key[0])
        return {
            "feats": self.features.stats.normalise(feats),
            "utt": self.utts[key[0]],
            "target": self.targets[key[0]],
            "silence": self.features.silence,
        }

    def whole(self) -> Iterator[np.ndarray]:
        """Log-mel features (T, F) float32 of each utterance, not normalised, in the order of ``utts``."""
        return (self._read(i) for i in range(len(self)))

    def digest(self) -> str:
        """Hash of what a result depends on: the features' digest, every utterance with its transcript and targets."""
        digest = hashlib.sha256(self.features.digest().encode())
        digest.update(json.dumps([self.utts, self.texts]).encode())
        for units in self.targets:
            digest.update(units.tobytes())
        return digest.hexdigest()[:16]

    def _read(self, i: int) -> np.ndarray:
        if self._cache is None:
            return self.features.read(self._indices[i])
        if i not in self._cache:
            self._cache[i] = self.features.read(self._indices[i])
        return self._cache[i]


def steps_needed(units: np.ndarray) -> int:
    """Time steps that CTC needs for a target: one a unit, and a <blank> between two equal ones.

    >>> steps_needed(np.array([3, 3, 5]))
    4
    """
    return len(units) + int((units[1:] == units[:-1]).sum())


def collate_utterances(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Training batch: ``feats`` (B, 1, T, F), padded with silence to the longest, ``lengths`` int64 (B,), ``targets``
    int64 (all units,), one utterance after the other, ``target_lengths`` int64 (B,), ``utts``."""
    longest = max(len(i["feats"]) for i in items)
    feats = torch.full((len(items), 1, longest, items[0]["feats"].shape[1]), float(items[0]["silence"]))
    for row, item in zip(feats, items, strict=True):
        row[0, : len(item["feats"])] = torch.from_numpy(item["feats"])
    return {
        "feats": feats,
        "lengths": torch.tensor([len(i["feats"]) for i in items]),
        "targets": torch.from_numpy(np.concatenate([i["target"] for i in items])),
        "target_lengths": torch.tensor([len(i["target"]) for i in items]),
        "utts": [i["utt"] for i in items],
    }
