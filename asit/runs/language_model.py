"""N-grams of the units of a data directory's ``text``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from asit.config import REQUIRED, Options, option
from asit.data.tokens import Tokens
from asit.errors import AsitError
from asit.kaldi.data_dir import DataDir
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
    found = NGram.estimate(_sentences(settings.data_dir, tokens), settings.order, len(tokens))
    found.save(settings.out_file, tokens.names)
    if not settings.measure_dir:
        return len(found.probs), None
    values = [value for units in _sentences(settings.measure_dir, tokens) for value in found.log_probs(units)]
    return len(found.probs), math.exp(-sum(values) / len(values))


def _sentences(data_dir: str, tokens: Tokens) -> list[list[int]]:
    data = DataDir(data_dir)
    found = [tokens.encode(text) for text in data.text.values() if text.strip()]
    if not found:
        raise AsitError(f"{data.file('text')}: expected transcripts, found none")
    return found
