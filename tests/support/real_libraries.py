"""timm and transformers as they are, where they are installed; else the test is skipped and says what to install."""

from __future__ import annotations

import importlib
from types import ModuleType
from unittest import mock

import pytest
import torch

INSTALL = "pip install -c tools/constraints.txt -e '.[export]'"


def library(name: str) -> ModuleType:
    """timm or transformers.

    Both import torchvision where it is there, and timm needs it. The registry's wheel is linked against CUDA: beside a
    CPU build of torch its compiled operators (nms, roi_align), which no ViT uses, do not load, and describing them to
    torch fails. They are left out.
    """
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: {INSTALL}")
    if importlib.util.find_spec("torchvision") is not None:
        try:
            importlib.import_module("torchvision")
        except RuntimeError:
            with mock.patch.object(torch.library, "register_fake", return_value=lambda function: function):
                importlib.import_module("torchvision")
    return importlib.import_module(name)
