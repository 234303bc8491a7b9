"""Random rectangles until a target area is covered, for a whole batch at once.

The published sampler draws one rectangle after another and stops when the union is large enough. Here the
rectangles of a clip are drawn in rounds of 30; each is one bit, so that ``rows & columns`` holds, for every
bin, the set of rectangles that cover it. The union of the first k rectangles is then a comparison with a
bit mask, the k that reaches the target is found by bisection, and the lowest set bit says which rectangle
came first: the sequential rule without a sequential loop.

B clips, T frames, F mel bins.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROUND = 30  # rectangles of one round: bits of a positive int32
MAX_SHARE = 0.3  # sides of a rectangle are drawn below this share of the input's side
MAX_ROUNDS = 200  # 6000 rectangles: reached only by settings that cannot end


def sample_blocks(
    targets: Tensor, size: tuple[int, int], align: tuple[int, int], unbiased: bool, generator: torch.Generator
) -> Tensor:
    """Which rectangle corrupts each bin, with enough rectangles for every clip's target area.

    Args:
        targets: float (B,), share of the bins to cover, in [0, 1].
        size: (T, F).
        align: corners and sides are multiples of this many (frames, bins).
        unbiased: False: corners inside the input, as published, which covers the borders less often.
            True: corners may lie outside, so that every bin is covered equally often.
        generator: its device is where the draws happen.

    Returns:
        int32 (B, T, F) on the generator's device: the number of the first rectangle that covers the bin,
        -1 for bins that stay clean.

    Raises:
        ValueError: sides that do not fit the alignment.
    """
    for side, step in zip(size, align, strict=True):
        if int(side * MAX_SHARE) <= step or side % step:
            raise ValueError(
                f"blocks cannot be aligned to {step}: a side of {side} must be a multiple of it and more than "
                f"{1 / MAX_SHARE:.1f} times as long"
            )
    grid = (size[0] // align[0], size[1] // align[1])  # aligned rectangles live on this coarser grid
    device = generator.device
    cells = (targets.to(device) * (grid[0] * grid[1])).float()
    order = torch.full((len(targets), *grid), -1, dtype=torch.int32, device=device)
    for number in range(MAX_ROUNDS):
        active = (_count(order >= 0) < cells).nonzero().squeeze(1)
        if len(active) == 0:
            break
        rows = _intervals(len(active), size[0], align[0], unbiased, generator)
        columns = _intervals(len(active), size[1], align[1], unbiased, generator)
        order[active] = _cover(order[active], rows, columns, cells[active], number * ROUND)
    return order.repeat_interleave(align[0], dim=1).repeat_interleave(align[1], dim=2)


def _intervals(clips: int, side: int, align: int, unbiased: bool, generator: torch.Generator) -> Tensor:
    """int32 (clips, side / align): bit k is set where the k-th random interval covers the position."""
    shape, device = (clips, ROUND), generator.device
    length = torch.randint(align, int(side * MAX_SHARE), shape, generator=generator, device=device)
    length = (length + align // 2) // align  # in units of align, to the nearest
    if unbiased:  # the start is uniform over all places that leave a part inside
        places = side // align + length - 1
        start = (torch.rand(shape, generator=generator, device=device) * places).long() - length + 1
    else:
        start = torch.randint(0, side - align, shape, generator=generator, device=device) // align
    position = torch.arange(side // align, device=device)
    inside = (position >= start[..., None]) & (position < (start + length)[..., None])  # (clips, ROUND, places)
    bits = torch.ones(ROUND, dtype=torch.int32, device=device) << torch.arange(ROUND, device=device)
    return (inside * bits[:, None]).sum(dim=1, dtype=torch.int32)


def _cover(order: Tensor, rows: Tensor, columns: Tensor, cells: Tensor, first: int) -> Tensor:
    """``order`` with this round's rectangles added, up to the one that reaches ``cells`` covered ones."""
    sets = rows[:, :, None] & columns[:, None, :]  # (b, T', F'), rectangles that cover a place
    sets = torch.where(order < 0, sets, 0)
    missing = cells - _count(order >= 0)
    low = torch.ones_like(missing, dtype=torch.int32)  # the fewest rectangles that reach the target ...
    high = torch.full_like(low, ROUND)  # ... or all of this round
    for _ in range(ROUND.bit_length()):
        middle = (low + high) // 2
        enough = _count((sets & _first_bits(middle)) != 0) >= missing
        high = torch.where(enough, middle, high)
        low = torch.where(enough, low, (middle + 1).minimum(high))
    sets &= _first_bits(high)
    # The float of a power of two holds its exponent in the bits from 23 up: the index of the lowest bit.
    index = ((sets & -sets).float().view(torch.int32) >> 23) - 127
    return torch.where(sets > 0, index + first, order)


def _first_bits(count: Tensor) -> Tensor:
    """int32 (b,) -> (b, 1, 1): the lowest ``count`` bits set."""
    return (((torch.ones_like(count) << count) - 1)[:, None, None]).to(torch.int32)


def _count(mask: Tensor) -> Tensor:
    """bool (b, T', F') -> int32 (b,); a narrow sum is twice as fast as ``count_nonzero`` on a CPU."""
    return mask.flatten(1).sum(dim=1, dtype=torch.int32)
