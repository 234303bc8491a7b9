"""Utterances to text: what fine-tuning, asit-evaluate and asit-transcribe share. T frames, F mel bins, N steps, K
units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from scipy.special import log_softmax

from asit.data.transcripts import Transcripts
from asit.io.atomic import write_text
from asit.kaldi.table import write_table
from asit.metrics.error_rate import CER, KINDS, WER, counts, interval, rate
from asit.models.sequence import SequenceNetwork
from asit.models.trained import FrontEnd, TrainedModel
from asit.recipes import record
from asit.recipes.record import Record
from asit.runs.confusion import write_csv
from asit.runs.sequences import outputs, scored
from asit.tasks.decoding import DecodingSettings

UNITS = {CER: "characters", WER: "words"}


def log_probabilities(
    network: SequenceNetwork, feats: Iterable[np.ndarray], front_end: FrontEnd
) -> Iterator[np.ndarray]:
    """Log-probabilities (N, K) float32 of log-mel features (T, F), see :func:`asit.runs.sequences.outputs`."""
    return (log_softmax(logits, axis=-1) for logits in outputs(network, feats, front_end))


def transcripts(
    network: SequenceNetwork, decode: Callable[[np.ndarray], str], feats: Iterable[np.ndarray], front_end: FrontEnd
) -> list[str]:
    """The text of each utterance, by a decoder of the task."""
    return [decode(one) for one in log_probabilities(network, feats, front_end)]


def evaluate(
    model: TrainedModel,
    data: Transcripts,
    out_dir: str,
    tags: dict[str, str],
    decoding: DecodingSettings,
    began: float,
) -> Record:
    """Decode and score: ``text``, ``ref.trn`` and ``hyp.trn`` for sclite, ``per_utterance.csv``, ``metrics.json``.

    Args:
        began: ``time.monotonic()`` at the start of the command.
    """
    found = transcripts(model.classifier, model.task.decoder(decoding), data.whole(), model.front_end)
    counted = {metric: counts(data.texts, found, unit) for metric, unit in UNITS.items()}
    values = {metric.name: rate(rows) for metric, rows in counted.items()}
    intervals = {metric.name: interval(rows) for metric, rows in counted.items()}
    result = scored(model, data, values, intervals, tags, began)
    folder = Path(out_dir)
    write_table(folder / "text", dict(zip(data.utts, found, strict=True)))
    for name, texts in (("ref", data.texts), ("hyp", found)):
        lines = (trn_line(utt, text) for utt, text in zip(data.utts, texts, strict=True))
        write_text(folder / f"{name}.trn", "".join(f"{line}\n" for line in lines))
    head = ["utt", *(f"{UNITS[metric]}_{kind}" for metric in counted for kind in KINDS)]
    rows = [[utt, *(int(n) for of in counted.values() for n in of[i])] for i, utt in enumerate(data.utts)]
    write_csv(folder / "per_utterance.csv", head, rows)
    record.save(folder / record.NAME, result)
    return result


def trn_line(utt: str, text: str) -> str:
    """An utterance in sclite's form ``trn``."""
    return f"{text} ({utt})".lstrip()
