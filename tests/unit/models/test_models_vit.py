"""The transformer: patches, positions, padding, sizes, ImageNet weights."""

from __future__ import annotations

import math

import pytest
import torch

from asit.config import from_dict
from asit.errors import AsitError
from asit.layers.drop_path import DropPath
from asit.layers.heads import Prototypes, ReconstructionHead
from asit.layers.patch_embed import PatchEmbed
from asit.layers.pos_embed import fit_positions
from asit.models import vit


def build(frames: int = 64, mels: int = 32, **options):
    options = {"embed_dim": 24, "depth": 2, "heads": 3, "patch": (8, 8), **options}
    return vit.build(from_dict(vit.Settings, options), frames, mels)


@pytest.mark.parametrize(("size", "millions"), [("tiny", 5.4), ("small", 21.4), ("base", 85.4)])
def test_published_sizes(size: str, millions: float) -> None:
    with torch.device("meta"):
        model = vit.build(from_dict(vit.Settings, {"size": size}), 592, 128)
    assert model.grid == (37, 8)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.2)


def test_patch_projection_is_the_convolution() -> None:
    embed = PatchEmbed((8, 4), (8, 4), 5)
    x = torch.randn(2, 1, 43, 13)
    expected = embed.proj(x).flatten(2).transpose(1, 2)
    assert embed(x).shape == expected.shape
    assert torch.allclose(embed(x), expected, atol=1e-5)


def test_reconstruction_product_is_the_transposed_convolution() -> None:
    head = ReconstructionHead(6, 6, 4, (8, 4), (8, 4))
    tokens = torch.randn(2, 15, 6)
    expected = head.conv(head.mlp(tokens).transpose(1, 2).reshape(2, 4, 5, 3))
    assert torch.allclose(head(tokens, (5, 3)), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("frames", [30, 31, 64])
def test_overlapping_patches_are_a_convolution_in_any_precision(dtype, frames) -> None:
    """torch's own convolution in bfloat16 is not, on a CPU with AMX: nan, or numbers of any size."""
    torch.manual_seed(0)
    embed = PatchEmbed((4, 8), (2, 4), 24)
    for batch in (1, 8, 40):
        x = torch.randn(batch, 1, frames, 16)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            found = embed(x)
        wanted = embed.proj(x).flatten(2).transpose(1, 2)
        assert torch.allclose(found.float(), wanted, atol=1e-5 if dtype == torch.float32 else 0.05)
        assert found.shape[1] == math.prod(embed.grid(frames, 16))


def test_overlapping_and_full_band_patches() -> None:
    assert build(stride=(4, 0)).grid == (15, 4)
    full = build(patch=(4, 0))
    assert full.grid == (16, 1)
    assert full(torch.randn(1, 1, 64, 32)).patches.shape == (1, 16, 24)


def test_positions_are_interpolated() -> None:
    table = torch.randn(1, 1 + 8 * 4, 6)
    assert fit_positions(table, (8, 4), (8, 4)) is table
    for grid in ((3, 4), (16, 8), (1, 1)):
        fitted = fit_positions(table, (8, 4), grid)
        assert fitted.shape == (1, 1 + grid[0] * grid[1], 6)
        assert torch.equal(fitted[:, 0], table[:, 0])
    constant = torch.ones(1, 33, 6)
    assert torch.allclose(fit_positions(constant, (8, 4), (5, 2)), torch.ones(1, 11, 6), atol=1e-6)


def test_layer_argument_stops_early() -> None:
    model = build().eval()
    x = torch.randn(1, 1, 64, 32)
    assert torch.equal(model(x, layer=2).cls, model(x).cls)
    assert not torch.allclose(model(x, layer=1).cls, model(x).cls)


def test_prototypes_are_cosines_times_gain() -> None:
    layer = Prototypes(5, 3, train_gain=True)
    x = torch.nn.functional.normalize(torch.randn(4, 5), dim=-1)
    assert torch.allclose(layer(x), torch.cosine_similarity(x[:, None], layer.weight_v[None], dim=-1), atol=1e-5)
    assert not Prototypes(5, 3, train_gain=False).weight_g.requires_grad


def test_drop_path_keeps_the_mean_and_drops_whole_samples() -> None:
    torch.manual_seed(0)
    layer = DropPath(0.25).train()
    out = layer(torch.ones(4000, 2, 3))
    per_sample = out.flatten(1)
    assert ((per_sample == per_sample[:, :1]).all(dim=1)).all()
    assert per_sample.mean() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(layer.eval()(torch.ones(3, 2)), torch.ones(3, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embed_dim": 25}, "not divisible"),
        ({"patch": (100, 8)}, "does not fit"),
        ({"stride": (9, 0)}, "exceeds the patch"),
        ({"patch": (0, 8)}, "'patch': expected at least one frame"),
        ({"patch": (8,)}, "'patch': expected 2 values, found 1"),
        ({"size": "huge"}, "expected one of"),
    ],
)
def test_wrong_sizes(options: dict, message: str) -> None:
    with pytest.raises(AsitError, match=message):
        build(**options)


def test_wrong_input_names_expected_and_found() -> None:
    with pytest.raises(AsitError, match=r"expects 32 mel bins and at least 8 frames, found 40 bins x 64 frames"):
        build()(torch.randn(1, 1, 64, 40))
    with pytest.raises(AsitError, match="found 32 bins x 5 frames"):
        build()(torch.randn(1, 1, 5, 32))
