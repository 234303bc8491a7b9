"""Settings in the files of earlier versions, brought to the present names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Options that are gone, with the one value that is left; None: any, the option changed no result.
_FORMER_HEAD = {"head_norm": True, "head_dropout": 0.0}
_FORMER_MODEL = {"mlp_ratio": 4.0, "position_fit": "interpolate", "attention": None}
_PAIRS = {"patch": ("patch_frames", "patch_mels", 16), "stride": ("stride_frames", "stride_mels", 0)}


def head(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a classifier's head; what has no present meaning stays, and is refused by its name."""
    return _without(stored, _FORMER_HEAD)


def model(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a backbone, likewise."""
    found = _without(stored, _FORMER_MODEL)
    for name, (first, second, default) in _PAIRS.items():
        if first in found or second in found:
            found[name] = [found.pop(first, default), found.pop(second, default)]
    return found


def _without(stored: Mapping[str, Any], gone: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in stored.items() if k not in gone or gone[k] not in (None, v)}
