"""Options of decoding, apart from the task that decodes: the plan of a recipe checks them without torch."""

from __future__ import annotations

from dataclasses import dataclass

from asit.config import Options, option
from asit.errors import AsitError


@dataclass(frozen=True)
class DecodingSettings(Options):
    """From probabilities to text."""

    beam: int = option(1, "prefixes kept while decoding; 1: the best unit of each time step", least=1)
    lm: str = option("", "n-grams of the units, in ARPA's form as asit-train-lm writes it; empty: none")
    lm_weight: float = option(0.7, "of the logarithm of the n-grams' probabilities", least=0)
    unit_bonus: float = option(2.0, "added for each unit where there are n-grams, which favour short texts")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lm and self.beam == 1:
            raise AsitError("a language model needs prefixes to choose from: set beam, such as 10 (--beam 10)")
