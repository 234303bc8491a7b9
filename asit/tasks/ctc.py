"""Transcripts: connectionist temporal classification (Graves et al. 2006) over units of text, word and character error
rates. B utterances, N time steps, K units with <blank>.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from asit.config import Options, group, option
from asit.data.tokens import BLANK, UNKNOWN, WORD
from asit.data.utterances import LeaveOutSettings
from asit.errors import AsitError
from asit.metrics.error_rate import CER, WER, counts, rate
from asit.models.classifier import HeadSettings
from asit.models.sequence import BandSettings, SequenceNetwork
from asit.tasks._ctc_decoding import Fusion, greedy, prefix_beam
from asit.tasks.decoding import DecodingSettings
from asit.tasks.ngram import NGram


@dataclass(frozen=True)
class Settings(Options):
    """Speech recognition by CTC."""

    tokens: str = option("tokens", "folder of asit-train-tokens, below the training directory: the units")
    bands: BandSettings = group(BandSettings)
    leave_out: LeaveOutSettings = group(LeaveOutSettings)


@lru_cache(maxsize=1)
def _ngrams(path: str, changed: int, units: tuple[str, ...]) -> NGram:
    """Read once, also where every recording is decoded by a call of its own."""
    return NGram.load(path, units)


def _changed(path: str) -> int:
    return os.stat(path).st_mtime_ns if os.path.exists(path) else 0


class Task:
    """Recognition with ``labels``, the units by index, of which 0 is <blank> and 1 <unk>.

    Raises:
        AsitError: other units at these indices.
    """

    name = "ctc"
    table = "text"
    metrics = (CER, WER)

    def __init__(self, settings: Settings, labels: Sequence[str]) -> None:
        self.settings, self.labels = settings, list(labels)
        if self.labels[BLANK : UNKNOWN + 1] != ["<blank>", "<unk>"] or len(self.labels) < 3:
            raise AsitError(
                f"units: expected <blank>, <unk> and at least one more, found {', '.join(self.labels[:3]) or 'none'}; "
                "train them with asit-train-tokens"
            )
        self.num_outputs = len(self.labels)

    def network(self, backbone: nn.Module, head: HeadSettings) -> SequenceNetwork:
        """The network of the task on a backbone."""
        return SequenceNetwork(backbone, self.num_outputs, head, self.settings.bands.bands)

    def loss(self, logits: Tensor, steps: Tensor, targets: Tensor, target_lengths: Tensor) -> Tensor:
        """CTC loss a unit, the mean over the utterances, a scalar.

        Args:
            logits: (B, N, K) float32. steps: time steps of each (B,) int64.
            targets: int64, the units of all utterances. target_lengths: how many each has (B,) int64.
        """
        log_probs = F.log_softmax(logits, dim=-1).transpose(0, 1)
        return F.ctc_loss(log_probs, targets, steps, target_lengths, blank=BLANK)

    def decoder(self, settings: DecodingSettings) -> Callable[[np.ndarray], str]:
        """What makes text of log-probabilities (N, K).

        Raises:
            AsitError: n-grams that cannot be read, or of other units than the model's.
        """
        if settings.beam == 1:
            return lambda log_probs: self.text(greedy(log_probs))
        fusion = None
        if settings.lm:
            ngrams = _ngrams(settings.lm, _changed(settings.lm), tuple(self.labels))
            fusion = Fusion(ngrams, settings.lm_weight, settings.unit_bonus)
        return lambda log_probs: self.text(prefix_beam(log_probs, settings.beam, fusion))

    def text(self, units: Sequence[int]) -> str:
        """The text of units; what <unk> stands for is written as U+2047, as SentencePiece does."""
        pieces = "".join(" \u2047 " if unit == UNKNOWN else self.labels[unit] for unit in units)
        return " ".join(pieces.replace(WORD, " ").split())

    def measure(self, hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        """Values of ``metrics``."""
        return {
            CER.name: rate(counts(references, hypotheses, "characters")),
            WER.name: rate(counts(references, hypotheses, "words")),
        }
