"""Random rectangles until a target area is covered, for a whole batch at once and on any device.

The published sampler draws one rectangle after another and stops when the union is large enough. Here a
clip's rectangles are drawn in rounds, and the number that reaches the target follows from the area that each adds
to those before it: the sequential rule without a sequential loop. Areas are taken on the grid that the
rectangles' own edges make, which is much smaller than the spectrogram.

B clips, M rectangles, T frames, F mel bins, S segments between edges.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ROUND = 32  # rectangles drawn at once: half of the clips of a 0.5 target need no second round
MAX_SHARE = 0.3  # sides of a rectangle are drawn below this share of the input's side
GROUP = 512
MAX_ROUNDS = 200  # reached only by targets that cannot be covered


class Blocks(NamedTuple):
    """M rectangles a clip, of which the first ``count`` are used. All int64; ends are exclusive."""

    rows: Tensor  # (2, B, M): first frame and end
    columns: Tensor  # (2, B, M): first bin and end
    count: Tensor  # (B,)

    def mask(self, size: tuple[int, int], chosen: Tensor | None = None) -> Tensor:
        """bool (B, T, F): the union of the used rectangles, or of those of them in ``chosen`` (bool (B, M))."""
        used = torch.arange(self.rows.shape[-1], device=self.count.device) < self.count[:, None]
        if chosen is not None:
            used &= chosen
        positions = (torch.arange(side, device=self.count.device) for side in size)
        rows, columns = (_inside(x, at) for x, at in zip((self.rows, self.columns), positions, strict=True))
        return _union(rows * used[..., None], columns)


def sample_blocks(
    targets: Tensor, size: tuple[int, int], align: tuple[int, int], unbiased: bool, generator: torch.Generator
) -> Blocks:
    """Rectangles whose union just reaches every clip's target area.

    Args:
        targets: float (B,), share of the bins to cover, in [0, 1].
        size: (T, F).
        align: corners and sides are multiples of this many (frames, bins).
        unbiased: False: corners inside the input, as published, which covers the borders less often.
            True: corners may be outside, so that every bin is covered equally often.
        generator: its device is where everything happens.

    Raises:
        ValueError: sides that do not fit the alignment, or targets that cannot be covered.
    """
    for side, step in zip(size, align, strict=True):
        if int(side * MAX_SHARE) <= step or side % step:
            raise ValueError(
                f"blocks cannot be aligned to {step}: a side of {side} must be a multiple of it and more than "
                f"{1 / MAX_SHARE:.1f} times as long"
            )
    b, device = len(targets), generator.device
    wanted = targets.to(device) * (size[0] * size[1])
    rows = columns = torch.empty(2, b, 0, dtype=torch.int64, device=device)
    count = torch.zeros(b, dtype=torch.int64, device=device)
    active = (wanted > 0).nonzero().squeeze(1)
    for _ in range(MAX_ROUNDS):
        if len(active) == 0:
            return Blocks(rows, columns, count)
        rows = torch.cat([rows, _intervals(b, size[0], align[0], unbiased, generator)], dim=2)
        columns = torch.cat([columns, _intervals(b, size[1], align[1], unbiased, generator)], dim=2)
        count[active] = _fewest(rows[:, active], columns[:, active], size, wanted[active])
        active = (count > rows.shape[2]).nonzero().squeeze(1)
    raise ValueError(f"{MAX_ROUNDS * ROUND} blocks did not cover {targets.max():.2f} of the input")


def _intervals(b: int, side: int, align: int, unbiased: bool, generator: torch.Generator) -> Tensor:
    """(2, B, ROUND): starts and ends of one side, clipped to the input."""
    shape, device = (b, ROUND), generator.device
    length = torch.randint(align, int(side * MAX_SHARE), shape, generator=generator, device=device)
    length = (length + align // 2) // align * align  # to the nearest multiple
    if unbiased:  # the start is uniform over all places that leave a part inside
        places = (side + length) // align - 1
        draw = torch.rand(shape, generator=generator, device=device)
        start = (draw * places).long() * align - length + align
    else:
        start = torch.randint(0, side - align, shape, generator=generator, device=device) // align * align
    return torch.stack([start.clamp(min=0), (start + length).clamp(max=side)])


def _fewest(rows: Tensor, columns: Tensor, size: tuple[int, int], wanted: Tensor) -> Tensor:
    """(B,): how many of the M rectangles, in order, cover ``wanted`` bins; M + 1 where all do not."""
    (rows, row_lengths), (columns, column_lengths) = (
        _on_segments(x, side) for x, side in zip((rows, columns), size, strict=True)
    )
    b, m = rows.shape[:2]
    # Which rectangle is the first to cover a cell? Rectangle i adds 2^-i there, so the sum's exponent tells (rounding
    # would need 53 rectangles in a row over one cell). GROUP of them at once, or the last would be too small.
    first = torch.full((b, rows.shape[2], columns.shape[2]), m, device=wanted.device)
    weights = torch.pow(2.0, -torch.arange(min(m, GROUP), device=wanted.device, dtype=torch.float64))[:, None]
    for start in range(0, m, GROUP):
        at = slice(start, start + GROUP)
        sums = (rows[:, at] * weights[: m - start]).transpose(1, 2) @ columns[:, at].double()
        index = start + 1 - torch.frexp(sums).exponent
        first = torch.where(sums > 0, first.minimum(index), first)
    areas = (row_lengths[:, :, None] * column_lengths[:, None]).double()
    added = areas.new_zeros(b, m + 1).scatter_add_(1, first.flatten(1), areas.flatten(1))
    return (added[:, :m].cumsum(dim=1) < wanted[:, None]).sum(dim=1) + 1


def _on_segments(edges: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Memberships (B, M, S) in the segments between the edges (2, B, M), and the segments' lengths (B, S); floats.

    Where there are more edges than positions, every position is a segment.
    """
    if 2 * edges.shape[2] >= side:
        positions = torch.arange(side, device=edges.device)
        return _inside(edges, positions), torch.ones_like(positions, dtype=torch.float32).expand(edges.shape[1], -1)
    first = torch.cat([torch.zeros_like(edges[0][:, :1]), edges[0], edges[1]], dim=1).sort(dim=1).values
    ends = torch.cat([first[:, 1:], torch.full_like(first[:, :1], side)], dim=1)
    return _inside(edges, first), (ends - first).float()


def _inside(edges: Tensor, positions: Tensor) -> Tensor:
    """float (B, M, P): 1 where a position, (P,) or (B, P), is between the edges (2, B, M)."""
    positions = positions.expand(edges.shape[1], -1)[:, None]
    return ((positions >= edges[0][..., None]) & (positions < edges[1][..., None])).float()


def _union(rows: Tensor, columns: Tensor) -> Tensor:
    """bool (B, P, Q) from memberships (B, M, P) and (B, M, Q): the product counts the rectangles at a position."""
    return torch.bmm(rows.transpose(1, 2), columns) > 0.5
