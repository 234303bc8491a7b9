"""Augmentation of batches of normalised log-mel features, on their device.

Everything random comes from one explicit generator, so a batch is a pure function of (features, generator
state). ``x`` is (B, 1, T, F) float32, natural-log mel energies as (value - mean) / (2 std); ``lengths`` (B,)
are the valid frames, and what is beyond them is padding that no function here moves or marks. Settings from
AST (time and frequency masks, noise, shift) and M2D/Audio-MAE (mixup in linear power, roll, gain).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from asit.config import Options, option
from asit.errors import AsitError


@dataclass(frozen=True)
class Settings(Options):
    """Augmentation in fine-tuning; every value of 0 switches its part off."""

    mixup: tuple[float, ...] = option(
        (0.0, 10.0),
        "share of the batches' clips that are mixed with another clip, in linear power; the mixing share is drawn from "
        "Beta(a, a), a the second number",
        least=0,
        counts=(2,),
    )
    spec_augment: tuple[int, ...] = option(
        (0, 0),
        "largest numbers of neighbouring mel bins and frames masked in a clip; of four values the last two say how "
        "many such blocks of each kind (1 1)",
        least=0,
        counts=(2, 4),
    )
    gain: float = option(0.0, "level change of a clip, uniform within plus or minus this many dB", least=0)
    roll: int = option(0, "circular shift of a clip in time, uniform within plus or minus this many frames", least=0)
    noise: float = option(
        0.0, "largest amplitude of uniform noise added to the normalised features (AST: 0.1)", least=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mixup[0] > 1 or not self.mixup[1]:
            raise AsitError(
                f"option 'mixup': expected a share of at most 1 and a positive second number, found {self.mixup}"
            )


def augment(
    x: Tensor,
    lengths: Tensor,
    targets: Tensor,
    settings: Settings,
    *,
    mean: float,
    std: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """All parts in order: gain, roll, mixup, masks, noise.

    Args:
        x: (B, 1, T, F). lengths: (B,) int64. targets: shares (B, C) float32 (see ``Task.soft``).
        mean, std: of the corpus, in natural-log mel energy, as used to normalise ``x``.

    Returns:
        (features, lengths, targets); the input tensors are not changed.
    """
    if settings.gain > 0:
        x = change_gain(x, lengths, settings.gain, std, generator)
    if settings.roll > 0:
        x = roll_time(x, lengths, settings.roll, generator)
    share, alpha = settings.mixup
    if share > 0:
        x, lengths, targets = mix(
            x,
            lengths,
            targets,
            share=share,
            alpha=alpha,
            mean=mean,
            std=std,
            generator=generator,
        )
    if any(settings.spec_augment):
        freq_mask, time_mask, *blocks = settings.spec_augment
        freq_blocks, time_blocks = blocks or (1, 1)
        for i in range(max(freq_blocks, time_blocks)):
            widths = (freq_mask * (i < freq_blocks), time_mask * (i < time_blocks))
            x = spec_augment(x, lengths, *widths, generator)
    if settings.noise > 0:
        x = add_noise(x, lengths, settings.noise, generator)
    return x, lengths, targets


def change_gain(x: Tensor, lengths: Tensor, decibel: float, std: float, generator: torch.Generator) -> Tensor:
    """Each clip louder or softer by a uniform number of dB: an offset in the log-mel domain."""
    change = (2.0 * _uniform(x.shape[0], x, generator) - 1.0) * decibel
    offset = change * (math.log(10.0) / 10.0) / (2.0 * std)
    return x + offset[:, None, None, None] * _valid(x, lengths)


def roll_time(x: Tensor, lengths: Tensor, frames: int, generator: torch.Generator) -> Tensor:
    """Each clip shifted circularly within its valid frames by a uniform whole number of frames."""
    shift = torch.floor(_uniform(x.shape[0], x, generator) * (2 * frames + 1)).long() - frames
    time = torch.arange(x.shape[2], device=x.device)[None]
    source = torch.where(time < lengths[:, None], (time - shift[:, None]) % lengths.clamp(min=1)[:, None], time)
    return x.gather(2, source[:, None, :, None].expand_as(x))


def mix(
    x: Tensor,
    lengths: Tensor,
    targets: Tensor,
    *,
    share: float,
    alpha: float,
    mean: float,
    std: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Mixup in linear power: energies (not their logarithms) add as lambda and 1 - lambda, and so do the labels.

    Each clip has its own lambda ~ Beta(alpha, alpha) and partner; 1 - ``share`` of the clips stay alone.
    A mixture is as long as the longer of its two clips.
    """
    count = x.shape[0]
    partner = torch.randperm(count, generator=generator, device=generator.device).to(x.device)
    keep = _beta(count, alpha, x, generator)
    keep = torch.where(_uniform(count, x, generator) < share, keep, torch.ones_like(keep))
    alone = keep >= 1.0
    log_keep = keep.log()[:, None, None, None]
    log_rest = torch.where(alone, torch.full_like(keep, -math.inf), torch.log1p(-keep))[:, None, None, None]
    energy = x * (2.0 * std) + mean  # natural logarithm of the mel energy
    mixed = torch.logaddexp(energy + log_keep, energy[partner] + log_rest)
    mixed = (mixed - mean) / (2.0 * std)
    mixed = torch.where(alone[:, None, None, None], x, mixed)
    both = torch.where(alone, lengths, torch.maximum(lengths, lengths[partner]))
    return mixed, both, keep[:, None] * targets + (1.0 - keep)[:, None] * targets[partner]


def spec_augment(x: Tensor, lengths: Tensor, freq_mask: int, time_mask: int, generator: torch.Generator) -> Tensor:
    """One block of mel bins and one block of frames of each clip set to the corpus mean (0 after normalisation).

    Widths are uniform in [0, freq_mask] and [0, time_mask], the latter at most the clip's valid frames.
    """
    count, _, frames, bins = x.shape
    low, high = _block(torch.full((count,), bins, device=x.device), freq_mask, x, generator)
    start, stop = _block(lengths, time_mask, x, generator)
    bin_index, time_index = torch.arange(bins, device=x.device), torch.arange(frames, device=x.device)
    in_freq = (bin_index >= low[:, None]) & (bin_index < high[:, None])
    in_time = (time_index >= start[:, None]) & (time_index < stop[:, None])
    masked = in_freq[:, None, None, :] | in_time[:, None, :, None]
    return x.masked_fill(masked & _valid(x, lengths).bool(), 0.0)


def add_noise(x: Tensor, lengths: Tensor, amplitude: float, generator: torch.Generator) -> Tensor:
    """Uniform noise whose amplitude is itself uniform in [0, ``amplitude``] for each clip (AST)."""
    level = _uniform(x.shape[0], x, generator) * amplitude
    noise = torch.rand(x.shape, generator=generator, device=generator.device).to(x)
    return x + noise * level[:, None, None, None] * _valid(x, lengths)


# --- internals -------------------------------------------------------------------------------------


def _uniform(count: int, like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device).to(like.device)


def _valid(x: Tensor, lengths: Tensor) -> Tensor:
    """1 in valid frames, 0 in padding: (B, 1, T, 1) float."""
    return (torch.arange(x.shape[2], device=x.device) < lengths[:, None])[:, None, :, None].to(x.dtype)


def _block(sizes: Tensor, widest: int, like: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Start and stop (B,) of one random block in each of ``sizes``."""
    width = torch.floor(_uniform(len(sizes), like, generator) * (widest + 1)).long()
    width = torch.minimum(width, sizes)
    start = torch.floor(_uniform(len(sizes), like, generator) * (sizes - width + 1)).long()
    return start, start + width


def _beta(count: int, alpha: float, like: Tensor, generator: torch.Generator) -> Tensor:
    """Beta(alpha, alpha) from two gamma draws; the gamma sampler takes the generator that torch's Beta does not."""
    shape = torch.full((2, count), alpha, device=generator.device)
    first, second = torch._standard_gamma(shape, generator=generator)
    return (first / (first + second)).to(like.device)
