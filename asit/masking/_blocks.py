"""Random rectangles until a target area is covered, for a whole batch at once and on any device.

The published sampler draws one rectangle after another and stops when the union is large enough. Here a
clip's rectangles are drawn in rounds, and the number that reaches the target is found by bisection over the
area of the first k: the sequential rule without a sequential loop. Areas are taken on the grid that the
rectangles' own edges make, which is much smaller than the spectrogram.

B clips, M rectangles, T frames, F mel bins, S segments between edges.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ROUND = 32  # rectangles drawn at once: half of the clips of a 0.5 target need no second round
MAX_SHARE = 0.3  # sides of a rectangle are drawn below this share of the input's side
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
            True: corners may lie outside, so that every bin is covered equally often.
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
    m = rows.shape[1]
    order = torch.arange(m, device=wanted.device)
    low, high = torch.ones_like(wanted, dtype=torch.int64), torch.full_like(wanted, m + 1, dtype=torch.int64)
    for _ in range((m + 1).bit_length()):
        middle = (low + high) // 2
        union = _union(rows * (order < middle[:, None])[..., None], columns).float()
        area = (row_lengths[:, None] @ union @ column_lengths[:, :, None]).flatten()
        enough = (area >= wanted) | (middle > m)
        high = torch.where(enough, middle, high)
        low = torch.where(enough, low, middle + 1).minimum(high)
    return high


def _on_segments(edges: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Memberships (B, M, S) in the segments between the edges (2, B, M), and the segments' lengths (B, S); floats."""
    first = torch.cat([torch.zeros_like(edges[0][:, :1]), edges[0], edges[1]], dim=1).sort(dim=1).values
    ends = torch.cat([first[:, 1:], torch.full_like(first[:, :1], side)], dim=1)
    return _inside(edges, first), (ends - first).float()


def _inside(edges: Tensor, positions: Tensor) -> Tensor:
    """float (B, M, P): 1 where a position, (P,) or (B, P), lies between the edges (2, B, M)."""
    positions = positions.expand(edges.shape[1], -1)[:, None]
    return ((positions >= edges[0][..., None]) & (positions < edges[1][..., None])).float()


def _union(rows: Tensor, columns: Tensor) -> Tensor:
    """bool (B, P, Q) from memberships (B, M, P) and (B, M, Q): the product counts the rectangles at a position."""
    return torch.bmm(rows.transpose(1, 2), columns) > 0.5
