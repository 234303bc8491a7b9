"""N-grams of the units of a data directory's ``text``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from asit.config import REQUIRED, Options, option
from asit.data.tokens import Tokens
from asit.runs.tokens import transcripts
from asit.tasks.ngram import NGram


@dataclass(frozen=True)
class Settings(Options):
    """Estimate n-grams of the units of transcripts, for --lm of asit-evaluate and asit-transcribe."""

    data_dir: str = option(REQUIRED, "data directory whose text the n-grams are counted in; not the one that is scored")
    tokens: str = option(REQUIRED, "folder of asit-train-tokens: the units of the model")
    out_file: str = option(REQUIRED, "the n-grams in ARPA's form, such as lm.arpa")
    order: int = option(6, "the longest n-grams, in units", least=1)
    measure_dir: str = option("", "data directory whose text tells the perplexity; empty: none")


def train(settings: Settings) -> tuple[int, float | None]:
    """Write the n-grams; how many there are, and the perplexity of a unit (</s> is one) of ``measure_dir``.

    Raises:
        AsitError: no ``text``, nothing in it, or no tokens.
    """
    tokens = Tokens.load(f"{settings.tokens}/tokens.model")
    found = NGram.estimate(map(tokens.encode, transcripts(settings.data_dir)), settings.order, len(tokens))
    found.save(settings.out_file, tokens.names)
    if not settings.measure_dir:
        return len(found.probs), None
    values = [value for text in transcripts(settings.measure_dir) for value in found.log_probs(tokens.encode(text))]
    return len(found.probs), math.exp(-sum(values) / len(values))
