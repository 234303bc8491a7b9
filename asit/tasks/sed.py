"""Sound event detection: which classes are heard when. Binary cross-entropy at every time step, events by threshold and
median filter, F1 by event and by segment. B utterances, N time steps, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from asit.config import Options, group, option
from asit.data.utterances import LeaveOutSettings
from asit.errors import AsitError
from asit.kaldi.events import NAME, Event
from asit.metrics.event_counts import ScoringSettings, by_event, by_segment, f1
from asit.metrics.metric import Metric
from asit.models.classifier import HeadSettings
from asit.models.sequence import BandSettings, SequenceNetwork
from asit.tasks._labels import LabelMap

EVENT_F1, ONSET_F1, SEGMENT_F1 = (Metric(name, "%", "higher") for name in ("event_f1", "onset_f1", "segment_f1"))
THRESHOLD, MEDIAN_FILTER = 0.5, 0.2  # where neither the model nor the command names others
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)  # tried on a validation set


@dataclass(frozen=True)
class EventSettings(Options):
    """From probabilities to events."""

    event_threshold: float | None = option(
        None,
        "probability from which a class is heard; none: as in the model's file, where it is what is best on the "
        f"validation set, {THRESHOLD} without one",
        above=0,
        below=1,
    )
    median_filter: float | None = option(
        None,
        "seconds of the median filter over what is heard, against short events and short gaps, 0 for none; none: as in "
        f"the model's file, or {MEDIAN_FILTER}",
        least=0,
    )


@dataclass(frozen=True)
class Settings(Options):
    """Sound event detection."""

    bands: BandSettings = group(BandSettings)
    events: EventSettings = group(EventSettings)
    scoring: ScoringSettings = group(ScoringSettings)
    leave_out: LeaveOutSettings = group(LeaveOutSettings)


class Detected(NamedTuple):
    """An event that was found: seconds, class, mean probability over its time steps."""

    start: float
    end: float
    label: str
    probability: float


class Task:
    """Detection of the classes ``labels``.

    Raises:
        AsitError: no class, or one that is listed twice.
    """

    name = "sed"
    table = NAME
    metrics = (EVENT_F1, ONSET_F1, SEGMENT_F1)

    def __init__(self, settings: Settings, labels: Sequence[str]) -> None:
        self.settings, self.map = settings, LabelMap(labels, least=1)
        self.labels = self.map.labels
        self.num_outputs = len(self.labels)

    def network(self, backbone: nn.Module, head: HeadSettings) -> SequenceNetwork:
        """The network of the task on a backbone; its ``threshold`` is chosen in training, and kept with the weights."""
        network = SequenceNetwork(backbone, self.num_outputs, head, self.settings.bands.bands)
        network.register_buffer("threshold", torch.tensor(THRESHOLD))
        return network

    def loss(self, logits: Tensor, steps: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
        """Binary cross-entropy, the mean over classes and time steps, a scalar.

        Args:
            logits: (B, N, K) float32. steps: time steps of each (B,) int64.
            targets: bool (all steps, K), one utterance after the other. target_lengths: ``steps`` again.

        Raises:
            AsitError: targets for another number of steps than the network has.
        """
        if not torch.equal(steps, target_lengths):
            raise AsitError(f"targets: expected {steps.tolist()} time steps, found {target_lengths.tolist()}")
        valid = torch.arange(logits.shape[1], device=logits.device) < steps[:, None]
        return F.binary_cross_entropy_with_logits(logits[valid], targets.to(logits.dtype))

    def decode(
        self, probabilities: np.ndarray, seconds: float, settings: EventSettings | None = None
    ) -> list[Detected]:
        """The events in probabilities (N, K) of time steps of ``seconds``, ordered by their times.

        Args:
            settings: what they say goes before what the task's do.
        """
        threshold = self._value("event_threshold", settings, THRESHOLD)
        width = round((self._value("median_filter", settings, MEDIAN_FILTER) / seconds - 1) / 2) * 2 + 1
        heard = probabilities >= threshold
        if width > 1:
            from scipy.ndimage import median_filter  # slow to import

            heard = median_filter(heard.astype(np.uint8), size=(width, 1), mode="nearest").astype(bool)
        found = [
            Detected(first * seconds, end * seconds, label, float(probabilities[first:end, k].mean()))
            for k, label in enumerate(self.labels)
            for first, end in _runs(heard[:, k])
        ]
        return sorted(found)

    def counts(
        self, found: Sequence[Sequence[Detected]], references: Sequence[Sequence[Event]]
    ) -> dict[str, np.ndarray]:
        """Of each of ``metrics`` int64 (utterances, K, 3): right, false alarms, missed."""
        scoring, num = self.settings.scoring, self.num_outputs
        rows: dict[str, list[np.ndarray]] = {metric.name: [] for metric in self.metrics}
        for said, there in zip(found, references, strict=True):
            pair = (*self._arrays(there), *self._arrays(said))
            rows[EVENT_F1.name].append(by_event(*pair, scoring.collar, num, ends=True))
            rows[ONSET_F1.name].append(by_event(*pair, scoring.collar, num, ends=False))
            rows[SEGMENT_F1.name].append(by_segment(*pair, scoring.segment, num))
        return {name: np.stack(counted) for name, counted in rows.items()}

    def measure(self, found: Sequence[Sequence[Detected]], references: Sequence[Sequence[Event]]) -> dict[str, float]:
        """Values of ``metrics``, over all classes and utterances together."""
        return {name: f1(counted) for name, counted in self.counts(found, references).items()}

    def _arrays(self, events: Sequence[Event] | Sequence[Detected]) -> tuple[np.ndarray, np.ndarray]:
        """Times (n, 2) and classes (n,)."""
        times = np.array([event[:2] for event in events], dtype=np.float64).reshape(-1, 2)
        return times, np.array([self.map.index[event.label] for event in events], dtype=np.int64)

    def _value(self, name: str, settings: EventSettings | None, default: float) -> float:
        given = (getattr(some, name) for some in (settings, self.settings.events) if some)
        return next((value for value in given if value is not None), default)


def _runs(heard: np.ndarray) -> Iterator[tuple[int, int]]:
    """First and end of every stretch of True in (N,)."""
    edges = np.flatnonzero(np.diff(heard, prepend=False, append=False))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
