"""ONNX: model.onnx, for onnxruntime and whatever else reads it; the number of clips and their length are free."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim

from asit.config import Options, option
from asit.errors import AsitError
from asit.export.graph import Window, facts, whole
from asit.runs.model import Model

FILE = "model.onnx"
NEEDED = ("onnx", "onnxscript")  # by torch.onnx.export


@dataclass(frozen=True)
class Settings(Options):
    """What an ONNX file takes."""

    with_front_end: bool = option(False, "take samples at the model's rate in place of log-mels")


def export(model: Model, out: Path, settings: Settings) -> dict[str, Any]:
    """Write model.onnx into a folder; returns config.json.

    Raises:
        AsitError: a package that is not installed, or a front end with dither.
    """
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            raise AsitError(f"--to onnx: the package {name} is not installed; pip install {' '.join(NEEDED)}")
    described = facts(model, FILE, settings.with_front_end)
    if settings.with_front_end:
        given = torch.zeros(2, model.sample_rate)
    else:
        given = torch.zeros(2, model.frames + 1, model.fbank.settings.dim)
    axes = {0: Dim("clips", min=1), 1: Dim(described["input"]["shape"][1], min=described["input"]["least"])}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.inference_mode(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # torch about itself; its progress goes to stdout
        program = torch.onnx.export(
            whole(model, Window(model), settings.with_front_end),
            (given,),
            input_names=[described["input"]["name"]],
            output_names=list(described["outputs"]),
            dynamic_shapes=(axes,),
            dynamo=True,
        )
        program.save(str(out / FILE))
    return described
