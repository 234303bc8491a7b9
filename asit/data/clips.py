"""The labelled clips of a data directory, in order, with what is missing kept as a list: whole, for scoring, or cut to
one length, for training. Letters: B clips, T frames, F mel bins, C classes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from asit.config import Options, option
from asit.data.features import Features
from asit.data.sampler import Key
from asit.data.targets import MultiHot
from asit.errors import AsitError
from asit.features.stats import Stats
from asit.kaldi.column_values import parse_labels
from asit.kaldi.data_dir import DataDir, read_list
from asit.kaldi.strings import Strings
from asit.seeding import numpy_generator

CACHE_BYTES = 2**30  # features of sets below this size stay in memory after the first pass
LISTS_OF_MISSING = ("missing_utts", "failed_utts")  # "utt reason": without audio, without features


@dataclass(frozen=True)
class ClipSettings(Options):
    """What is asked of the labelled clips."""

    max_missing: float = option(0.05, "share of labelled utterances that may lack features", least=0, most=1, free=True)


class Clips:
    """Features and targets of the utterances in utt2label. For training, items are asked for by (index, number of the
    sample): ``frames`` long, a longer clip cut at a place that depends on ``seed`` and the number alone.

    Utterances that a list of missing ones names (``missing_utts``, which a recipe writes for clips of the official
    list that nobody could supply; ``failed_utts`` of asit-collect-feats) count as expected and missing, whether or
    not utt2label has them.

    Attributes:
        features: of the directory. utts, labels: of the clips that have features. missing: utterances without
            features. expected: how many there should be.

    Raises:
        AsitError: a task on sequences; unknown labels; no clip at all; a larger share of utt2label without
            features than ``max_missing``.
    """

    def __init__(
        self, path: str, task: Any, stats: Stats, max_missing: float = 0.05, *, frames: int = 0, seed: int = 0
    ) -> None:
        if task.table != "utt2label":
            raise AsitError(f"task '{task.name}': expected one that labels clips, this one learns from {task.table}")
        data = DataDir(path)
        self.path, self.features, self.frames, self.seed = path, Features(path, stats), frames, seed
        self.classes = list(task.labels)
        listed = data.columns("utt2label", parse_labels)
        there, places = _places(listed.keys, self.features.utts)
        lacking = [listed.keys[i] for i in np.flatnonzero(~there)]
        if len(lacking) > max_missing * len(there):
            raise AsitError(
                f"{data.file('feats.scp')}: {len(lacking)} of {len(there)} utterances of utt2label have no "
                f"features, the first is {lacking[0]}; extract them, or raise --max-missing"
            )
        if not there.any():
            raise AsitError(f"{data.file('utt2label')}: expected at least one utterance with features, found none")
        unlisted = _named_missing(data, listed.keys)
        self.missing = sorted({*lacking, *unlisted})
        self.expected = len(there) + len(unlisted)
        self.utts, self.labels = listed.keys.take(np.flatnonzero(there)), listed.values.take(np.flatnonzero(there))
        self._indices = places[there]
        encode = getattr(task, "multi_hot", task.targets)
        self._encoded: np.ndarray | MultiHot = encode(self.labels, self.utts, data.file("utt2label"))
        size = int(self.features.num_frames[self._indices].sum()) * self.features.num_mels * 4
        self._cache: list[np.ndarray] | None = [] if size < CACHE_BYTES else None

    @cached_property
    def targets(self) -> np.ndarray:
        """As the task gives them, in the order of ``utts``: int64 (clips,) or float32 (clips, C)."""
        return self._encoded.dense() if isinstance(self._encoded, MultiHot) else self._encoded

    def __len__(self) -> int:
        return len(self.utts)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """``{"feats": float32 (frames, F) normalised, "length": int, "utt": str, "target": () or (C,)}``.

        A shorter clip is padded with silence at the end, and ``length`` tells how much is real.
        """
        index, features = int(self._indices[key[0]]), self.features
        there = int(features.num_frames[index])
        length = min(there, self.frames)
        first = 0
        if there > length:
            first = int(numpy_generator(self.seed, "clip", key[1]).integers(there - length + 1))
        feats = np.empty((self.frames, features.num_mels), np.float32)
        features.stats.normalise(features.read(index, first, first + length), out=feats[:length])
        feats[length:] = features.silence
        return {"feats": feats, "length": length, "utt": self.utts[key[0]], "target": self._encoded[key[0]]}

    def digest(self) -> str:
        """Hash of what a result depends on: the features' digest, every clip's label, the classes in their order."""
        digest = hashlib.sha256(self.features.digest().encode())
        for column in (self.utts, self.labels):
            for piece in column.chunks(b"\n"):
                digest.update(piece)
        digest.update(json.dumps(self.classes).encode())
        return digest.hexdigest()[:16]

    def whole(self) -> Iterator[np.ndarray]:
        """Log-mel features (T, F) float32 of each clip, not normalised, in the order of ``utts``."""
        if self._cache:
            yield from self._cache
            return
        read: list[np.ndarray] = []
        for index in self._indices:
            feats = self.features.read(index)
            if self._cache is not None:
                read.append(feats)
            yield feats
        if self._cache is not None:
            self._cache = read

    def training_targets(self) -> np.ndarray | MultiHot:
        """Targets of every clip: int64 (clips,), or the ones of a (clips, C) matrix.

        Raises:
            AsitError: a clip with features has no label.
        """
        if len(self.utts) != len(self.features):
            known = set(self.utts)
            unlabelled = next(utt for utt in self.features.utts if utt not in known)
            raise AsitError(
                f"{self.path}/utt2label: utterance {unlabelled} has features but no label; add its line ('-' for a "
                "clip with none of the tags), or take it out of utt2spk and run asit-fix-data-dir"
            )
        return self._encoded


def collate_clips(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Fine-tuning batch: ``feats`` (B, 1, T, F), ``lengths`` int64 (B,), ``targets`` (B[, C]), ``utts``."""
    return {
        "feats": torch.from_numpy(np.stack([i["feats"] for i in items])).unsqueeze(1),
        "lengths": torch.tensor([i["length"] for i in items]),
        "utts": [i["utt"] for i in items],
        "targets": torch.from_numpy(np.stack([i["target"] for i in items])),
    }


def _places(wanted: Strings, known: Strings) -> tuple[np.ndarray, np.ndarray]:
    """Which of ``wanted`` are known, and where; both are sorted."""
    if wanted.equals(known):
        return np.ones(len(wanted), dtype=bool), np.arange(len(wanted))
    a, b = wanted.packed(), known.packed()
    places = np.minimum(np.searchsorted(b, a), len(b) - 1)
    return b[places] == a, places


def _named_missing(data: DataDir, labelled: Strings) -> list[str]:
    """Utterances of the lists of missing ones that utt2label does not have."""
    paths = [data.file(name) for name in LISTS_OF_MISSING if data.has(name)]
    named = {utt for path in paths if os.path.getsize(path) for utt in read_list(path)}
    return sorted(named - set(labelled)) if named else []
