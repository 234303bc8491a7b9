"""The labelled clips of a data directory, in order, with what is missing kept as a list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from asit.data.dataset import FeatureDataset
from asit.errors import AsitError
from asit.features.stats import Stats
from asit.io.data_dir import DataDir

CACHE_BYTES = 2**30  # features of sets below this size stay in memory after the first pass


class LabelledClips:
    """Features and targets of the utterances in utt2label.

    Attributes:
        dataset: the directory's features. utts, labels, targets: of the clips that have features; ``targets`` as
            the task gives them. missing: utterances of utt2label without features. expected: lines of utt2label.

    Raises:
        AsitError: unknown labels; no clip at all; a larger share of clips without features than ``max_missing``.
    """

    def __init__(self, path: str, task: Any, stats: Stats, max_missing: float = 0.05) -> None:
        data = DataDir(path)
        self.path, self.dataset = path, FeatureDataset(path, stats)
        labels = data.utt2label
        index = {utt: i for i, utt in enumerate(self.dataset.utts)}
        self.expected = len(labels)
        self.missing = [utt for utt in labels if utt not in index]
        if len(self.missing) > max_missing * self.expected:
            raise AsitError(
                f"{data.file('feats.scp')}: {len(self.missing)} of {self.expected} utterances of utt2label have no "
                f"features, the first is {self.missing[0]}; extract them, or raise --max-missing"
            )
        self.utts = [utt for utt in labels if utt in index]
        if not self.utts:
            raise AsitError(f"{data.file('utt2label')}: expected at least one utterance with features, found none")
        self._indices = [index[utt] for utt in self.utts]
        self.labels = [",".join(labels[utt]) for utt in self.utts]
        self.targets: np.ndarray = task.targets(self.labels, self.utts, data.file("utt2label"))
        size = int(self.dataset.num_frames[self._indices].sum()) * self.dataset.num_mels * 4
        self._cache: list[np.ndarray] | None = [] if size < CACHE_BYTES else None

    def __len__(self) -> int:
        return len(self.utts)

    def features(self) -> Iterator[np.ndarray]:
        """Log-mel features (T, F) float32 of each clip, not normalised, in the order of ``utts``."""
        if self._cache:
            yield from self._cache
            return
        read: list[np.ndarray] = []
        for index in self._indices:
            feats = self.dataset.read(index)
            if self._cache is not None:
                read.append(feats)
            yield feats
        if self._cache is not None:
            self._cache = read

    def training_targets(self) -> np.ndarray:
        """Targets of every clip of ``dataset``, in its order.

        Raises:
            AsitError: a clip with features has no label.
        """
        if len(self.utts) != len(self.dataset):
            unlabelled = next(utt for utt in self.dataset.utts if utt not in set(self.utts))
            raise AsitError(
                f"{self.path}/utt2label: utterance {unlabelled} has features but no label; label it, or run "
                "asit-fix-data-dir, which leaves it out"
            )
        order = np.argsort(self._indices, kind="stable")
        return self.targets[order]
