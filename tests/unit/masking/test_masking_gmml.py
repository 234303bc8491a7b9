"""GMML's corruption: rates of the published sampler, fills, alien blocks, the unbiased sampler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asit.errors import AsitError
from asit.masking._blocks import sample_blocks
from asit.masking.gmml import Settings, corrupt

RATES = Path(__file__).parents[2] / "golden" / "gmml_rates.npz"
REFERENCE_MASKS = 3000  # behind each stored rate


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ones(b: int = 6, t: int = 64, f: int = 32) -> torch.Tensor:
    """Clip i is the constant i + 1, so that a bin tells where it came from."""
    return (torch.arange(b, dtype=torch.float32) + 1)[:, None, None, None].expand(b, 1, t, f).clone()


@pytest.mark.parametrize("align", [1, 16])
@pytest.mark.parametrize(("name", "ratio"), [("zeros_0.5", 0.5), ("zeros_0.7", 0.7), ("replace_0.3", 0.3)])
def test_rates_of_the_published_sampler(align: int, name: str, ratio: float) -> None:
    """Cell rates (37 x 8 patches) within 0.02 of the measured ones, but for the measurements' own noise.

    A stored rate is the mean of 3000 masks; patches are corrupted nearly as a whole, so its standard error is
    about sqrt(p (1 - p) / 3000) = 0.009, and ours adds to it. Single cells can thus differ by more than 0.02
    by chance alone: 95 of 100 must not, none may differ by more than 4.5 standard errors, and the means over
    rows, columns and all cells, which are less noisy, have bounds of their own.
    """
    masks = 2000
    stored = np.load(RATES)
    key = f"align{align}/{name}/"
    low = min(0.5, ratio)
    generator, total, areas = gen(1), np.zeros((37, 8)), []
    for _ in range(masks // 200):
        targets = low + (ratio - low) * torch.rand(200, generator=generator)
        mask = sample_blocks(targets, (592, 128), (align, align), False, generator).mask((592, 128)).float()
        total += mask.view(200, 37, 16, 8, 16).mean(dim=(2, 4)).sum(dim=0).numpy()
        areas.append(mask.mean(dim=(1, 2)))
    rate, expected, area = total / masks, stored[key + "cell_rate"], torch.cat(areas).numpy()
    difference = np.abs(rate - expected)
    error = np.sqrt(expected * (1 - expected) * (1 / REFERENCE_MASKS + 1 / masks))
    assert (difference / error).max() < 4.5
    assert np.abs(rate.mean(axis=0) - expected.mean(axis=0)).max() < 0.02
    assert np.abs(rate.mean(axis=1) - expected.mean(axis=1)).max() < 0.02
    assert np.quantile(difference, 0.95) < 0.02 * np.sqrt(1 + REFERENCE_MASKS / masks)
    assert abs(area.mean() - stored[key + "area_mean"]) < 0.004
    assert abs(area.std() - stored[key + "area_std"]) < 0.002
    assert area.min() >= low - 1e-6


def test_borders_are_corrupted_less_unless_unbiased() -> None:
    targets = torch.full((1500,), 0.5)
    rates = {}
    for unbiased in (False, True):
        mask = sample_blocks(targets, (64, 32), (1, 1), unbiased, gen()).mask((64, 32))
        rates[unbiased] = mask.float().mean(dim=0)
    assert rates[False][0].mean() < 0.5 * rates[False][32].mean()
    assert rates[True].max() - rates[True].min() < 0.1
    assert (rates[True][0].mean() - rates[True][32].mean()).abs() < 0.03


@given(
    ratio=st.floats(0.05, 0.9),
    align=st.sampled_from([(1, 1), (4, 4), (8, 4)]),
    unbiased=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_stops_with_the_rectangle_that_reaches_the_target(ratio, align, unbiased, seed) -> None:
    targets = torch.full((4,), ratio)
    blocks = sample_blocks(targets, (64, 32), align, unbiased, gen(seed))
    area = blocks.mask((64, 32)).float().mean(dim=(1, 2))
    assert (area >= ratio - 1e-6).all()
    before = blocks._replace(count=blocks.count - 1).mask((64, 32)).float().mean(dim=(1, 2))
    assert (before < ratio).all(), "the last rectangle was needed"


@pytest.mark.parametrize("align", [4, 8])
def test_alignment(align: int) -> None:
    mask = sample_blocks(torch.full((8,), 0.5), (64, 32), (align, align), False, gen()).mask((64, 32))
    cells = mask.view(8, 64 // align, align, 32 // align, align).float().mean(dim=(2, 4))
    assert ((cells == 0) | (cells == 1)).all()


def test_drops_and_alien_blocks_are_alternatives() -> None:
    clips = ones(200)
    corrupted, mask = corrupt(clips, Settings(drop_ratio=0.7, replace=(0.3, 0.5)), gen())
    inside = [set(corrupted[i][mask[i]].tolist()) for i in range(len(clips))]
    assert all(len(values) == 1 for values in inside), "one kind and one source a clip"
    alien = torch.tensor([0.0 not in values for values in inside])
    assert 0.35 < alien.float().mean() < 0.65
    assert all(i + 1 not in values for i, values in enumerate(inside)), "alien blocks come from another clip"
    area = mask.float().mean(dim=(1, 2, 3))
    assert (area[alien] < 0.5).all()
    assert (area[~alien] >= 0.5).all()


def test_alien_blocks_keep_their_place() -> None:
    clips = torch.randn(4, 1, 64, 32, generator=gen())
    corrupted, mask = corrupt(clips, Settings(replace=(0.3, 1.0)), gen())
    for i in range(4):
        sources = [j for j in range(4) if torch.equal(corrupted[i][mask[i]], clips[j][mask[i]])]
        assert len(sources) == 1
        assert sources != [i]


@pytest.mark.parametrize("kind", ["noise", "time", "frequency"])
def test_fills(kind: str) -> None:
    clips = ones(8)
    corrupted, mask = corrupt(clips, Settings(replace=(0.3, 0.0), fill=(kind,), drop_ratio=0.2), gen())
    values = corrupted[mask]
    if kind == "noise":
        assert abs(values.mean()) < 0.1
        assert abs(values.std() - 1) < 0.1
        return
    assert (values == 0).all()
    across = 3 if kind == "time" else 2
    whole = mask.float().mean(dim=across)
    assert ((whole == 0) | (whole == 1)).all(), "stripes span the whole side"


def test_mixed_fills_are_drawn_per_block() -> None:
    corrupted, mask = corrupt(ones(16), Settings(replace=(0.3, 0.0), fill=("zeros", "noise")), gen())
    zeros = torch.stack([(c[m] == 0).float().mean() for c, m in zip(corrupted, mask, strict=True)])
    assert 0.3 < zeros.mean() < 0.7
    assert ((zeros > 0) & (zeros < 1)).any()


def test_device_and_dtype_are_kept() -> None:
    corrupted, mask = corrupt(ones().to(torch.bfloat16), Settings(fill=("noise",)), gen())
    assert corrupted.dtype == torch.bfloat16
    assert mask.dtype == torch.bool


def test_errors_name_the_remedy() -> None:
    with pytest.raises(AsitError, match=r"aligned to 16.*--align"):
        corrupt(ones(2, 40, 32), Settings(align=(16, 1)), gen())
    with pytest.raises(AsitError, match="at least 0 and at most 1"):
        corrupt(ones(), Settings(drop_ratio=1.5), gen())


def test_many_rounds_reach_an_almost_whole_cover() -> None:
    """More rectangles than the powers of two that a float64 holds: the border bins take that many."""
    targets = torch.full((2,), 0.9995)
    blocks = sample_blocks(targets, (64, 32), (1, 1), False, gen(2))
    assert blocks.count.max() > 600
    area = blocks.mask((64, 32)).float().mean(dim=(1, 2))
    before = blocks._replace(count=blocks.count - 1).mask((64, 32)).float().mean(dim=(1, 2))
    assert (area >= 0.9995 - 1e-6).all()
    assert (before < 0.9995).all()
