"""Stripes and random patches."""

from __future__ import annotations

import pytest
import torch

from asit.errors import AsitError
from asit.masking import random_patch, time_freq


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_random_patch_covers_its_share_exactly_and_evenly(ratio: float) -> None:
    settings = random_patch.Settings(mask_ratio=ratio, cell_frames=8, cell_mels=8)
    mask = random_patch.corrupt(torch.ones(500, 1, 64, 32), settings, gen()).mask
    assert torch.allclose(mask.float().mean(dim=(1, 2, 3)), torch.tensor(ratio))
    rates = mask.float().mean(dim=(0, 1)).view(8, 8, 4, 8).mean(dim=(1, 3))
    assert (rates - ratio).abs().max() < 0.1


def test_random_patch_refuses_broken_cells() -> None:
    with pytest.raises(AsitError, match="not whole cells"):
        random_patch.corrupt(torch.ones(2, 1, 60, 32), random_patch.Settings(), gen())


def test_stripes_span_a_whole_side_and_respect_their_widths() -> None:
    only_time = time_freq.Settings(time_stripes=1, freq_stripes=0, time_share=0.25)
    mask = time_freq.corrupt(torch.ones(200, 1, 64, 32), only_time, gen()).mask
    rows = mask[:, 0].float().mean(dim=2)
    assert ((rows == 0) | (rows == 1)).all()
    widths = rows.sum(dim=1)
    assert widths.min() >= 1
    assert widths.max() == 16
    only_freq = time_freq.Settings(time_stripes=0, freq_stripes=2)
    columns = time_freq.corrupt(torch.ones(50, 1, 64, 32), only_freq, gen()).mask[:, 0].float().mean(dim=1)
    assert ((columns == 0) | (columns == 1)).all()


def test_noise_fill() -> None:
    clips = torch.full((8, 1, 64, 32), 5.0)
    corrupted, mask = time_freq.corrupt(clips, time_freq.Settings(fill="noise"), gen())
    assert abs(corrupted[mask].std() - 1) < 0.1
