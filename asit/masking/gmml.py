"""Group masked model learning: the corruption of ASiT (paper, section III; SiT, arXiv 2104.03602).

Rectangles of random place and size are corrupted until a drawn share of the spectrogram is covered. With
probability one half a clip is corrupted by *replacement* instead: its rectangles are filled from the same
place of another clip of the batch, up to a share of its own.

B clips, T frames, F mel bins; mask 1 = corrupted.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asit.config import Options, option
from asit.errors import AsitError
from asit.masking._blocks import Blocks, sample_blocks
from asit.masking._corruption import Corruption, noise_like

KINDS = ("zeros", "noise", "time", "frequency")


@dataclass(frozen=True)
class Settings(Options):
    """Group masked model learning."""

    drop_ratio: float = option(
        0.5, "largest share of bins dropped; drawn from U(min(0.5, ratio), ratio) per clip", least=0, most=1
    )
    replace: tuple[float, ...] = option(
        (0.3, 0.5),
        "share of bins covered by blocks of another clip; probability that a clip has these instead of dropped ones",
        least=0,
        most=1,
        counts=(2,),
    )
    fill: tuple[str, ...] = option(
        ("zeros",),
        "what a dropped block becomes, drawn per block: zeros, noise, or a stripe of zeros over all bins (time) or "
        "all frames (frequency)",
        KINDS,
    )
    align: tuple[int, ...] = option(
        (1, 1), "blocks start and end at multiples of this many frames, bins; 1 1 as published", least=1, counts=(2,)
    )
    unbiased: bool = option(False, "corrupt the borders as often as the middle; the published sampler does not")


@torch.no_grad()
def corrupt(clips: Tensor, settings: Settings, generator: torch.Generator) -> Corruption:
    """Corrupt one view of a batch.

    Args:
        clips: (B, 1, T, F); alien blocks come from the other clips of this batch.
        settings: ratios and kinds.
        generator: source of every draw; the result depends on nothing else.

    Returns:
        The corrupted clips and the mask, on the device of ``clips``.

    Raises:
        AsitError: a crop that does not fit the alignment.
    """
    b, _, t, f = clips.shape
    device = generator.device
    low = min(0.5, settings.drop_ratio)
    dropped = low + (settings.drop_ratio - low) * torch.rand(b, generator=generator, device=device)
    share, probability = settings.replace
    alien = torch.rand(b, generator=generator, device=device) < probability
    if b == 1:
        alien[:] = False  # there is no other clip to take blocks from
    targets = torch.where(alien, share, dropped)
    try:
        blocks = sample_blocks(targets, (t, f), settings.align, settings.unbiased, generator)
    except ValueError as error:
        raise AsitError(f"corruption of crops of {t} x {f}: {error}; change --align") from None
    mask, noisy = _masks(blocks, alien, (t, f), settings, generator)
    mask, noisy, alien = (x.to(clips.device)[:, None] for x in (mask, noisy, alien))
    other = (torch.arange(b, device=device) + torch.randint(1, max(b, 2), (b,), generator=generator, device=device)) % b
    value = torch.where(
        alien[..., None, None], clips[other.to(clips.device)], torch.zeros((), dtype=clips.dtype, device=clips.device)
    )
    if "noise" in settings.fill:
        value = torch.where(noisy, noise_like(clips, generator), value)
    return Corruption(torch.where(mask, value, clips), mask)


def _masks(
    blocks: Blocks, alien: Tensor, size: tuple[int, int], settings: Settings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(corrupted, filled with noise) bool (B, T, F), after drawing each dropped block's kind of fill."""
    if set(settings.fill) == {"zeros"}:
        mask = blocks.mask(size)
        return mask, torch.zeros_like(mask[:, :1, :1])
    shape = blocks.rows.shape[1:]
    kind = torch.randint(len(settings.fill), shape, generator=generator, device=generator.device)
    kind[alien] = -1
    rows, columns, noisy = blocks.rows.clone(), blocks.columns.clone(), torch.zeros_like(kind, dtype=torch.bool)
    for i, name in enumerate(settings.fill):
        if name == "noise":
            noisy |= kind == i
        elif name != "zeros":  # a stripe spans its block's whole frames or bins and may exceed the target area
            edges, side = (columns, size[1]) if name == "time" else (rows, size[0])
            edges[0].masked_fill_(kind == i, 0)
            edges[1].masked_fill_(kind == i, side)
    blocks = blocks._replace(rows=rows, columns=columns)
    return blocks.mask(size), blocks.mask(size, noisy)
