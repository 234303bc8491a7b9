"""Stripes over time and frequency, as SpecAugment draws them (arXiv 1904.08779).

B clips, T frames, F mel bins; mask 1 = corrupted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asit.config import Options, option
from asit.masking._corruption import Corruption, apply_mask


@dataclass(frozen=True)
class Settings(Options):
    """Time and frequency stripes."""

    time_stripes: int = option(4, "stripes over all bins", least=0)
    time_share: float = option(0.15, "longest stripe over all bins, as a share of the frames", least=0, most=1)
    freq_stripes: int = option(2, "stripes over all frames", least=0)
    freq_share: float = option(0.2, "widest stripe over all frames, as a share of the bins", least=0, most=1)
    fill: str = option("zeros", "what a stripe becomes", ["zeros", "noise"])


@torch.no_grad()
def corrupt(clips: Tensor, settings: Settings, generator: torch.Generator) -> Corruption:
    """Corrupt one view of a batch; arguments and result as :func:`asit.masking.gmml.corrupt`."""
    b, _, t, f = clips.shape
    times = _stripes(b, t, settings.time_stripes, settings.time_share, generator)
    mels = _stripes(b, f, settings.freq_stripes, settings.freq_share, generator)
    return apply_mask(clips, (times[:, :, None] | mels[:, None, :])[:, None], settings.fill, generator)


def _stripes(b: int, side: int, count: int, share: float, generator: torch.Generator) -> Tensor:
    """bool (B, side): the union of ``count`` stripes of uniform width in [1, share * side]."""
    device = generator.device
    width = torch.randint(1, max(2, int(side * share) + 1), (b, count), generator=generator, device=device)
    start = (torch.rand(b, count, generator=generator, device=device) * (side - width + 1)).long()
    position = torch.arange(side, device=device)
    return ((position >= start[..., None]) & (position < (start + width)[..., None])).any(dim=1)
