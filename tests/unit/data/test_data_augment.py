from __future__ import annotations

import math

import pytest
import torch

from asit.data import augment
from asit.errors import AsitError

MEAN, STD = -6.0, 4.0


def batch(count=64, frames=40, bins=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 1, frames, bins, generator=generator)
    lengths = torch.randint(5, frames + 1, (count,), generator=generator)
    targets = torch.nn.functional.one_hot(torch.arange(count) % 4, 4).float()
    return x, lengths, targets


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def padding(x, lengths):
    return (torch.arange(x.shape[2]) >= lengths[:, None])[:, None, :, None].expand_as(x)


ALL = augment.Settings(mixup=(0.5, 10.0), spec_augment=(6, 10), gain=6.0, roll=5, noise=0.1)


def test_a_batch_is_a_function_of_the_generator_and_inputs_stay():
    x, lengths, targets = batch()
    before = x.clone()
    first = augment.augment(x, lengths, targets, ALL, mean=MEAN, std=STD, generator=seeded())
    again = augment.augment(x, lengths, targets, ALL, mean=MEAN, std=STD, generator=seeded())
    other = augment.augment(x, lengths, targets, ALL, mean=MEAN, std=STD, generator=seeded(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert torch.equal(x, before)


def test_all_off_changes_nothing():
    x, lengths, targets = batch()
    y, n, t = augment.augment(x, lengths, targets, augment.Settings(), mean=MEAN, std=STD, generator=seeded())
    assert y is x
    assert n is lengths
    assert t is targets


@pytest.mark.parametrize("options", [{"spec_augment": (6, 10)}, {"gain": 6.0}, {"roll": 9}, {"noise": 0.1}])
def test_padding_stays_as_it_is(options):
    x, lengths, targets = batch()
    y, _, _ = augment.augment(x, lengths, targets, augment.Settings(**options), mean=MEAN, std=STD, generator=seeded())
    assert not torch.equal(x, y)
    assert torch.equal(x[padding(x, lengths)], y[padding(x, lengths)])


def test_mixing_adds_energies_with_the_shares_of_the_labels():
    x, _, _ = batch(count=8)
    full, own = torch.full((8,), 40), torch.eye(8)
    y, _, shares = augment.mix(x, full, own, share=1.0, alpha=10.0, mean=MEAN, std=STD, generator=seeded())
    energy = (x * 2 * STD + MEAN).exp()
    expected = torch.einsum("ij,jctf->ictf", shares, energy)  # what mixing the power spectra gives
    torch.testing.assert_close((y * 2 * STD + MEAN).exp(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(shares.sum(1), torch.ones(8))


def test_mixing_shares_follow_beta_and_the_longer_clip_sets_the_length():
    x, lengths, _ = batch(count=4000, frames=12, bins=2)
    lengths = lengths.clamp(max=12)
    _, mixed, shares = augment.mix(
        x, lengths, torch.eye(4000), share=1.0, alpha=10.0, mean=MEAN, std=STD, generator=seeded()
    )
    keep = shares.diagonal()
    assert keep.mean().item() == pytest.approx(0.5, abs=0.01)
    assert keep.std().item() == pytest.approx(math.sqrt(1 / (4 * 21)), abs=0.01)
    assert (mixed >= lengths).all()


def test_the_unmixed_share_of_clips_is_untouched():
    x, lengths, targets = batch(count=2000, frames=12, bins=2)
    y, _, _ = augment.mix(x, lengths, targets, share=0.3, alpha=10.0, mean=MEAN, std=STD, generator=seeded())
    same = (y == x).flatten(1).all(1).float().mean().item()
    assert same == pytest.approx(0.7, abs=0.04)


def test_mask_widths_are_uniform_up_to_the_limit():
    x = torch.ones(6000, 1, 40, 20)
    y = augment.spec_augment(x, torch.full((6000,), 40), 8, 0, seeded())
    widths = (y[:, 0, 0] == 0).sum(1)
    assert widths.max() == 8
    assert widths.float().mean().item() == pytest.approx(4.0, abs=0.1)
    rate = (y[:, 0, 0] == 0).float().mean(0)
    assert rate[10].item() == pytest.approx(4 / 16, abs=0.06)  # the middle is hit by about width / positions
    y = augment.spec_augment(x, torch.full((6000,), 40), 0, 10, seeded())
    widths = (y[:, 0, :, 0] == 0).sum(1)
    assert widths.max() == 10
    assert widths.float().mean().item() == pytest.approx(5.0, abs=0.12)
    assert torch.equal(y[:, :, :, :1].expand_as(y), y)  # whole frames


def test_roll_permutes_the_valid_frames():
    x, lengths, _ = batch()
    y = augment.roll_time(x, lengths, 7, seeded())
    for i in range(len(x)):
        n = int(lengths[i])
        shifts = [s for s in range(-7, 8) if torch.equal(torch.roll(x[i, 0, :n], s, 0), y[i, 0, :n])]
        assert shifts, f"clip {i} is no roll"


def test_gain_is_an_equal_offset_within_the_limit():
    x, lengths, _ = batch()
    change = augment.change_gain(x, torch.full_like(lengths, 40), 6.0, STD, seeded()) - x
    decibel = change.flatten(1) * 2 * STD * 10 / math.log(10)
    assert decibel.std(1).max() < 1e-4
    assert decibel.abs().max() <= 6.0
    assert decibel.abs().max() > 5.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixup": (2.0, 10.0)}, "'mixup': expected a share of at most 1"),
        ({"mixup": (0.5, 0.0)}, "positive second"),
        ({"roll": -1}, "'roll': expected at"),
    ],
)
def test_wrong_settings_name_the_option(options, message):
    with pytest.raises(AsitError, match=message):
        augment.Settings(**options)
