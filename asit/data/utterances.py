"""Utterances of a data directory with a target in time, whole and in order: what transcripts and events share.

Letters: B utterances, T frames, F mel bins, n parts of a target, K values of a part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from asit.config import Options, option
from asit.data.features import Features
from asit.data.sampler import Key
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
        "share of the training utterances that may be left out: longer than max_frames, or, of transcripts, with more "
        "units than time steps or characters without a unit",
        least=0,
        below=1,
    )


class Utterances:
    """Features of the utterances that a table of targets has; a subclass reads the table and encodes its values.

    Attributes:
        table: its name. nothing: what an utterance without a line lacks, and what to write.
        features: of the directory. utts: with features, in order. missing: utterances of the table without features.
        expected: how many there should be. lengths: frames of each, int64. targets: of each, where they are encoded
            once. left_out: utterance -> why it is not trained on.

    Raises:
        AsitError: an utterance with features and no line in the table, a larger share without features than
            ``max_missing``, no utterance at all.
    """

    table: str
    nothing: str

    def __init__(self, path: str, stats: Stats, listed: Iterable[str], max_missing: float) -> None:
        data, listed = DataDir(path), list(listed)
        self.path, self.features = path, Features(path, stats)
        index, known = {utt: i for i, utt in enumerate(self.features.utts)}, set(listed)
        silent = next((utt for utt in index if utt not in known), None)
        if silent is not None:
            raise AsitError(
                f"{self.source}: utterance '{silent}' has features but {self.nothing}, or take it out of utt2spk and "
                "run asit-fix-data-dir"
            )
        self.missing = [utt for utt in listed if utt not in index]
        self.expected = len(listed)
        if len(self.missing) > max_missing * len(listed) or not index:
            raise AsitError(
                f"{data.file('feats.scp')}: {len(self.missing)} of {len(listed)} utterances of {self.table} have no "
                f"features, the first is {self.missing[0] if self.missing else 'none'}; extract them, or raise "
                "--max-missing"
            )
        self.utts = [utt for utt in listed if utt in index]
        self._indices = np.array([index[utt] for utt in self.utts])
        self.lengths = self.features.num_frames[self._indices]
        self.targets: list[np.ndarray] = []
        self.left_out: dict[str, str] = {}
        self._cache: dict[int, np.ndarray] | None = None
        if int(self.lengths.sum()) * self.features.num_mels * 4 < CACHE_BYTES:
            self._cache = {}

    @property
    def source(self) -> str:
        """The table's path, for messages."""
        return DataDir(self.path).file(self.table)

    def _keep(self, problem: Callable[[int], str | None], settings: LeaveOutSettings, remedy: str) -> list[int]:
        """Leave out the utterances of which ``problem`` says something by their place; the places of the others.

        Raises:
            AsitError: more of them than ``max_left_out``, or all; names the first one, and ``remedy``.
        """
        kept = []
        for i, utt in enumerate(self.utts):
            why = problem(i)
            if not why and self.lengths[i] > settings.max_frames:
                why = f"{self.lengths[i]} frames, more than the {settings.max_frames} of --max-frames"
            if why:
                self.left_out[utt] = why
            else:
                kept.append(i)
        if len(self.left_out) > settings.max_left_out * len(self.utts) or not kept:
            utt, why = next(iter(self.left_out.items()))
            raise AsitError(
                f"{self.source}: utterance '{utt}': {why} ({len(self.left_out)} of {len(self.utts)} cannot be trained "
                f"on); {remedy}, or raise --max-left-out"
            )
        self.utts = [self.utts[i] for i in kept]
        self._indices, self.lengths = self._indices[kept], self.lengths[kept]
        return kept

    def __len__(self) -> int:
        return len(self.utts)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """``{"feats": float32 (T, F) normalised, "utt": str, "target": (n,) or (n, K)}``, for training."""
        feats = self._read(key[0])
        return {
            "feats": self.features.stats.normalise(feats),
            "utt": self.utts[key[0]],
            "target": self.target(key[0]),
            "silence": self.features.silence,
        }

    def whole(self) -> Iterator[np.ndarray]:
        """Log-mel features (T, F) float32 of each utterance, not normalised, in the order of ``utts``."""
        return (self._read(i) for i in range(len(self)))

    def digest(self) -> str:
        """Hash of what a result depends on: the features' digest, every utterance with its line and targets."""
        digest = hashlib.sha256(self.features.digest().encode())
        digest.update(json.dumps([self.utts, self.lines()]).encode())
        for target in self.targets:
            digest.update(target.tobytes())
        return digest.hexdigest()[:16]

    def lines(self) -> Sequence[Any]:
        """What the table says of each of ``utts``."""
        raise NotImplementedError

    def target(self, i: int) -> np.ndarray:
        """What an utterance's time steps are compared with, (n,) or (n, K), once it is for training."""
        return self.targets[i]

    def _read(self, i: int) -> np.ndarray:
        if self._cache is None:
            return self.features.read(self._indices[i])
        if i not in self._cache:
            self._cache[i] = self.features.read(self._indices[i])
        return self._cache[i]


def collate_utterances(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Training batch: ``feats`` (B, 1, T, F), padded with silence to the longest, ``lengths`` int64 (B,), ``targets``
    (all n,) or (all n, K), one utterance after the other, ``target_lengths`` int64 (B,), ``utts``."""
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
