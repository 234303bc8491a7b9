"""Any number of labels a clip, also none (AudioSet): binary cross-entropy and mean average precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from asit.config import Options, option
from asit.data.targets import MultiHot
from asit.kaldi.column_values import NO_LABEL
from asit.metrics.metric import Metric
from asit.metrics.ranking import areas, average_precisions, dprime, mean_defined
from asit.tasks._labels import LabelMap


@dataclass(frozen=True)
class Settings(Options):
    """Multi-label tagging."""

    label_smoothing: float = option(
        0.0, "targets move from 0 and 1 towards the share 1/classes by this amount", least=0, below=1
    )
    tag_threshold: float = option(
        0.5, "probability from which a tag is printed as a prediction; metrics ignore it", least=0, most=1
    )


class Task:
    """Tagging with ``labels``; targets are (B, C) float32 in [0, 1]."""

    name = "tagging"
    table = "utt2label"
    metrics = (
        Metric("mAP", "%", "higher"),
        Metric("auc", "%", "higher"),
        Metric("dprime", "", "higher"),
        Metric("classes_scored", "", "higher"),
        Metric("classes_without_positives", "", "lower"),
    )
    multi_label = True

    def __init__(self, settings: Settings, labels: Sequence[str]) -> None:
        self.settings = settings
        self.map = LabelMap(labels, least=1)  # one tag is there or not
        self.labels = self.map.labels
        self.num_outputs = len(self.labels)

    def targets(
        self, label_strings: Sequence[str], utts: Sequence[str] | None = None, source: str = "utt2label"
    ) -> np.ndarray:
        """Indicators (n, C) float32 of ``label_strings`` (comma-separated labels, or "-" for none).

        Raises:
            AsitError: an unknown label.
        """
        return self.multi_hot(label_strings, utts, source).dense()

    def multi_hot(
        self, label_strings: Sequence[str], utts: Sequence[str] | None = None, source: str = "utt2label"
    ) -> MultiHot:
        """:meth:`targets` without their zeros, for sets whose indicators would not fit into memory.

        Raises:
            AsitError: an unknown label.
        """
        return MultiHot.of_rows(self.map.indices(label_strings, utts, source), self.num_outputs)

    def soft(self, targets: Tensor) -> Tensor:
        """The targets themselves: the form that mixup blends."""
        return targets

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean binary cross-entropy, a scalar, of logits (B, C) and targets (B, C)."""
        smoothing = self.settings.label_smoothing
        return F.binary_cross_entropy_with_logits(
            logits.float(), targets.float() * (1.0 - smoothing) + smoothing / self.num_outputs
        )

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities (B, C) float32, one decision a class."""
        return torch.sigmoid(logits.float())

    def decide(self, scores: np.ndarray) -> list[str]:
        """The tags above the threshold, comma-separated in index order; "-" when there is none."""
        chosen = scores >= self.settings.tag_threshold
        return [",".join(self.labels[i] for i in np.flatnonzero(row)) or NO_LABEL for row in chosen]

    def measure(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Values of ``metrics`` for scores (n, C) and targets (n, C)."""
        precisions, auc = average_precisions(scores, targets), mean_defined(areas(scores, targets))
        scored = int((~np.isnan(precisions)).sum())
        return {
            "mAP": mean_defined(precisions),
            "auc": auc,
            "dprime": dprime(auc),
            "classes_scored": scored,
            "classes_without_positives": len(precisions) - scored,
        }

    def per_class(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Average precision of each class (C,), nan for a class without positives."""
        return average_precisions(scores, targets)

    def trivial(self, train_targets: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """The mAP of scores that are equal for all clips, the mean share of positives: mAP ranks clips within
        a class, so the training frequencies (majority) add nothing to guessing (chance)."""
        chance = mean_defined(average_precisions(np.zeros_like(targets), targets))
        return {"chance": chance, "majority": chance}
