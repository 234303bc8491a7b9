"""One label a clip: cross-entropy (or binary cross-entropy, as AST trains Speech Commands) and accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from asit.config import Options, option
from asit.errors import AsitError, excerpt
from asit.metrics.accuracy import ACCURACY, confusion_pairs, recalls
from asit.metrics.metric import Metric
from asit.metrics.ranking import mean_defined
from asit.tasks._labels import LabelMap


@dataclass(frozen=True)
class Settings(Options):
    """Single-label classification."""

    criterion: str = option(
        "ce", "loss: softmax cross-entropy (ce) or one binary decision a class (bce)", ["ce", "bce"]
    )
    label_smoothing: float = option(0.0, "share of the target spread evenly over all classes", least=0, below=1)


class Task:
    """Classification into ``labels``; targets are indices (B,) int64 or, after mixup, shares (B, C) float32."""

    name = "classification"
    table = "utt2label"
    metrics = (ACCURACY, Metric("balanced_accuracy", "%", "higher"))
    multi_label = False

    def __init__(self, settings: Settings, labels: Sequence[str]) -> None:
        self.settings = settings
        self.map = LabelMap(labels)
        self.labels = self.map.labels
        self.num_outputs = len(self.labels)

    def targets(
        self, label_strings: Sequence[str], utts: Sequence[str] | None = None, source: str = "utt2label"
    ) -> np.ndarray:
        """Class indices (n,) int64 of ``label_strings``.

        Raises:
            AsitError: an unknown label, or a clip with none or several labels.
        """
        rows = self.map.indices(label_strings, utts, source)
        for i, row in enumerate(rows):
            if len(row) != 1:
                utt = utts[i] if utts is not None else f"number {i + 1}"
                raise AsitError(
                    f"{source}: utterance {excerpt(utt)}: expected one label, found {len(row)} in "
                    f"'{excerpt(label_strings[i])}'; several labels a clip, or none, need task 'tagging'"
                )
        return np.array([row[0] for row in rows], dtype=np.int64)

    def soft(self, targets: Tensor) -> Tensor:
        """Shares (B, C) float32 of index targets, the form that mixup blends."""
        return targets if targets.ndim == 2 else F.one_hot(targets, self.num_outputs).float()

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean loss, a scalar, of logits (B, C) and targets (B,) int64 or (B, C) float."""
        logits, smoothing = logits.float(), self.settings.label_smoothing
        if self.settings.criterion == "ce":
            return F.cross_entropy(logits, targets, label_smoothing=smoothing)
        wanted = self.soft(targets) * (1.0 - smoothing) + smoothing / self.num_outputs
        return F.binary_cross_entropy_with_logits(logits, wanted)

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities (B, C) float32."""
        return torch.softmax(logits.float(), -1) if self.settings.criterion == "ce" else torch.sigmoid(logits.float())

    def decide(self, scores: np.ndarray) -> list[str]:
        """The most probable class of each clip."""
        return [self.labels[i] for i in scores.argmax(axis=1)]

    def confusion(self, scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, ...]:
        """(reference, hypothesis, clips): the pairs of classes that occur and how often, int64 each."""
        return confusion_pairs(scores.argmax(axis=1), targets, self.num_outputs)

    def measure(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Values of ``metrics`` for scores (n, C) and targets (n,)."""
        from sklearn.metrics import accuracy_score  # slow to import

        return {
            "accuracy": float(accuracy_score(targets, scores.argmax(axis=1))),
            "balanced_accuracy": mean_defined(self.per_class(scores, targets)),
        }

    def per_class(self, scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Recall of each class (C,), nan for a class without clips."""
        return recalls(scores.argmax(axis=1), targets, self.num_outputs)

    def trivial(self, train_targets: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """The first metric of uniform guessing (chance) and of always naming the most frequent training class."""
        most_frequent = np.bincount(train_targets, minlength=self.num_outputs).argmax()
        return {"chance": 1.0 / self.num_outputs, "majority": float((targets == most_frequent).mean())}
