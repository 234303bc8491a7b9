"""TorchScript: model.pt, which torch reads without asit, in Python and C++."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from asit.config import Options, option
from asit.export.graph import Window, facts, whole
from asit.runs.model import Model

FILE = "model.pt"


@dataclass(frozen=True)
class Settings(Options):
    """What a TorchScript file takes."""

    with_front_end: bool = option(False, "take samples at the model's rate in place of log-mels")


def export(model: Model, out: Path, settings: Settings) -> dict[str, Any]:
    """Write model.pt into a folder; returns config.json.

    Raises:
        AsitError: a front end with dither.
    """
    crops = torch.zeros(2, 1, model.frames, model.fbank.settings.dim)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sizes become constants: those of a window are
        window = torch.jit.trace(Window(model), (crops, torch.tensor([model.frames, 1])))
        torch.jit.save(torch.jit.script(whole(model, window, settings.with_front_end)), str(out / FILE))
    return facts(model, FILE, settings.with_front_end)
