"""Spectrogram to patch tokens.

B clips, T frames, F mel bins, N patches, D width; a patch covers p frames x q bins.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class PatchEmbed(nn.Module):
    """Linear projection of (possibly overlapping) patches; the weight is that of a convolution.

    Args:
        patch: (frames p, bins q) of a patch.
        stride: (frames, bins) between patches; equal to ``patch`` as published, smaller for overlap.
        dim: width D.
    """

    def __init__(self, patch: tuple[int, int], stride: tuple[int, int], dim: int) -> None:
        super().__init__()
        self.patch = patch
        self.stride = stride
        self.proj = nn.Conv2d(1, dim, kernel_size=patch, stride=stride)

    def grid(self, frames: int, mels: int) -> tuple[int, int]:
        """Rows and columns of patches in a spectrogram; frames and bins that fill no patch are left out.

        >>> PatchEmbed((16, 16), (16, 16), 8).grid(592, 128)
        (37, 8)
        """
        (p, q), (s, r) = self.patch, self.stride
        return max(0, (frames - p) // s + 1), max(0, (mels - q) // r + 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, T, F) -> (B, N, D), patches in time-major order."""
        if self.patch != self.stride:
            # Copied out, not convolved: torch 2.13's convolution in bfloat16 on a CPU gives wrong values here.
            x = x[:, 0].unfold(1, self.patch[0], self.stride[0]).unfold(2, self.patch[1], self.stride[1])
            return F.linear(x.flatten(3).flatten(1, 2), self.proj.weight.flatten(1), self.proj.bias)
        # Without overlap the convolution is one matrix product, which is faster on every device.
        (b, _, t, f), (p, q) = x.shape, self.patch
        rows, columns = self.grid(t, f)
        x = x[:, 0, : rows * p, : columns * q].reshape(b, rows, p, columns, q)
        x = x.permute(0, 1, 3, 2, 4).reshape(b, rows * columns, p * q)
        return F.linear(x, self.proj.weight.flatten(1), self.proj.bias)
