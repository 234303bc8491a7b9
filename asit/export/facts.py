"""What every export says of the model beside it."""

from __future__ import annotations

import dataclasses
from typing import Any

import asit
from asit.config import to_dict
from asit.runs.model import Model


def described(model: Model) -> dict[str, Any]:
    """The member "asit" of config.json: what comes before the network and after it."""
    known = ("task", "task_settings", "head", "tags", "licence", "pretraining", "provenance")
    return {
        "version": asit.__version__,
        "sample_rate": model.sample_rate,
        "frames": model.frames,
        "front_end": to_dict(model.fbank.settings),
        "stats": dataclasses.asdict(model.front_end.stats),
        **{name: model.metadata[name] for name in known if model.metadata.get(name)},
    }
