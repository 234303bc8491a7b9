"""asit: recipe-based pretraining and fine-tuning of audio spectrogram transformers.

Implements ASiT (arXiv 2211.13189). The packages, from the bottom up: ``metrics``, ``masking``,
``losses`` and ``layers`` know only numpy and torch; ``models`` and ``methods`` put them together;
``io``, ``features`` and ``data`` bring Kaldi data directories to batches; ``train`` and ``tasks`` run
the work; ``bin`` holds the commands that recipes call. ``asit.load``, ``Model``, ``Segment`` and
``AsitError`` are imported when they are first used: torch takes its time.
"""

import importlib
from typing import Any

__version__ = "0.2.0"
_PLACES = {"AsitError": "errors", "Model": "runs.model", "Segment": "runs.model", "load": "api"}  # of what asit offers


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f"asit.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'asit' has no attribute '{name}'")
