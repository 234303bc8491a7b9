"""What ``import asit`` offers: a trained model in three lines. docs/python.md has examples.

>>> import asit, numpy
>>> model = asit.load("asit-tiny")
>>> model.embed(numpy.zeros(16000), rate=16000).shape
(192,)
"""

from __future__ import annotations

import os

import torch

from asit.runs.model import Model


def load(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Model:
    """A fine-tuned model, a backbone, or weights that ship by their name; see :class:`asit.runs.model.Model`."""
    return Model(path, device)
