"""The labelled clips of a data directory, in order, with what is missing kept as a list."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from asit.data.dataset import FeatureDataset
from asit.data.targets import MultiHot
from asit.errors import AsitError
from asit.features.stats import Stats
from asit.kaldi.column_values import parse_labels
from asit.kaldi.data_dir import DataDir, read_list
from asit.kaldi.strings import Columns, Strings, read_columns

CACHE_BYTES = 2**30  # features of sets below this size stay in memory after the first pass
LISTS_OF_MISSING = ("missing_utts", "failed_utts")  # "utt reason": without audio, without features


class LabelledClips:
    """Features and targets of the utterances in utt2label.

    Utterances that a list of missing ones names (``missing_utts``, which a recipe writes for clips of the official
    list that nobody could supply; ``failed_utts`` of asit-collect-feats) count as expected and missing, whether or
    not utt2label has them.

    Attributes:
        dataset: the directory's features. utts, labels: of the clips that have features. missing: utterances without
            features. expected: how many there should be.

    Raises:
        AsitError: unknown labels; no clip at all; a larger share of utt2label without features than ``max_missing``.
    """

    def __init__(self, path: str, task: Any, stats: Stats, max_missing: float = 0.05) -> None:
        data = DataDir(path)
        self.path, self.dataset = path, FeatureDataset(path, stats)
        self.classes = list(task.labels)
        listed = _labels_of(data)
        there, places = _places(listed.keys, self.dataset.utts)
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
        size = int(self.dataset.num_frames[self._indices].sum()) * self.dataset.num_mels * 4
        self._cache: list[np.ndarray] | None = [] if size < CACHE_BYTES else None

    @cached_property
    def targets(self) -> np.ndarray:
        """As the task gives them, in the order of ``utts``: int64 (clips,) or float32 (clips, C)."""
        return self._encoded.dense() if isinstance(self._encoded, MultiHot) else self._encoded

    def __len__(self) -> int:
        return len(self.utts)

    def digest(self) -> str:
        """Hash of what a result depends on: the features' digest, every clip's label, the classes in their order."""
        digest = hashlib.sha256(self.dataset.digest().encode())
        for column in (self.utts, self.labels):
            for piece in column.chunks(b"\n"):
                digest.update(piece)
        digest.update(json.dumps(self.classes).encode())
        return digest.hexdigest()[:16]

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

    def training_targets(self) -> np.ndarray | MultiHot:
        """Targets of every clip of ``dataset``, in its order: int64 (clips,), or the ones of a (clips, C) matrix.

        Raises:
            AsitError: a clip with features has no label.
        """
        if len(self.utts) != len(self.dataset):
            known = set(self.utts)
            unlabelled = next(utt for utt in self.dataset.utts if utt not in known)
            raise AsitError(
                f"{self.path}/utt2label: utterance {unlabelled} has features but no label; add its line ('-' for a "
                "clip with none of the tags), or take it out of utt2spk and run asit-fix-data-dir"
            )
        order = np.argsort(self._indices, kind="stable")
        return self._encoded.take(order) if isinstance(self._encoded, MultiHot) else self._encoded[order]


def _labels_of(data: DataDir) -> Columns:
    """utt2label, its values checked."""
    listed = read_columns(data.file("utt2label")) if os.path.isdir(data.path) else None
    try:
        for value in set(listed.values if listed else ()):
            parse_labels(value)
    except ValueError:
        listed = None
    if listed is None:
        _ = data.utt2label  # raises, and names the line
        raise AsitError(f"{data.file('utt2label')}: cannot be read")
    return listed


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
