"""Initialisation of ASiT's backbone from a timm-format image ViT."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from real_libraries import library

from asit.config import from_dict
from asit.errors import AsitError
from asit.layers.pos_embed import fit_positions
from asit.methods import asit
from asit.models import vit
from asit.models.imagenet import load_imagenet

SIZES = {"embed_dim": 24, "depth": 2, "heads": 3, "patch": (8, 8)}


def build():
    return vit.build(from_dict(vit.Settings, SIZES), 64, 32)


class TestImagenet:
    def file(self, path, side: int = 4, **changes) -> dict:
        """A timm-format ViT of the small sizes: colour patches, side x side positions, a classifier."""
        state = {k: torch.randn_like(v) for k, v in build().state_dict().items()}
        state["patch_embed.proj.weight"] = torch.randn(24, 3, 8, 8)
        state["pos_embed"] = torch.randn(1, 1 + side * side, 24)
        state |= {"head.weight": torch.zeros(10, 24), "head.bias": torch.zeros(10), **changes}
        if path.suffix == ".safetensors":
            safetensors.torch.save_file(state, path)
        else:
            torch.save({"model": state}, path)
        return state

    @pytest.mark.parametrize("name", ["vit.safetensors", "vit.pth"])
    def test_weights_arrive(self, tmp_path, name: str) -> None:
        state = self.file(tmp_path / name)
        model = build()
        load_imagenet(model, str(tmp_path / name))
        own = model.state_dict()
        assert torch.allclose(own["patch_embed.proj.weight"], state["patch_embed.proj.weight"].sum(1, keepdim=True))
        assert torch.equal(own["blocks.1.attn.qkv.weight"], state["blocks.1.attn.qkv.weight"])
        assert torch.equal(own["pos_embed"][:, 0], state["pos_embed"][:, 0])
        expected = fit_positions(state["pos_embed"], (4, 4), (8, 4))
        assert torch.allclose(own["pos_embed"], expected)

    def test_errors(self, tmp_path) -> None:
        path = tmp_path / "vit.safetensors"
        self.file(path, **{"patch_embed.proj.weight": torch.randn(24, 3, 16, 16)})
        with pytest.raises(AsitError, match=r"patch_embed.proj.weight has shape \(24, 1, 16, 16\)"):
            load_imagenet(build(), str(path))
        safetensors.torch.save_file({"x": torch.zeros(1)}, path)
        with pytest.raises(AsitError, match=r"expected a timm ViT, missing"):
            load_imagenet(build(), str(path))
        path.write_bytes(b"nonsense")
        with pytest.raises(AsitError, match="cannot read ImageNet weights"):
            load_imagenet(build(), str(path))

    def test_student_and_teacher_start_from_it(self, tmp_path) -> None:
        state = self.file(tmp_path / "vit.safetensors")
        settings = {**SIZES, "head_hidden": 8, "head_bottleneck": 8, "prototypes": (8,)}
        settings["imagenet"] = str(tmp_path / "vit.safetensors")
        learner = asit.build(from_dict(asit.Settings, settings), 64, 32, 10, 5)
        for which in ("student", "teacher"):
            assert torch.equal(learner.backbone(which).norm.weight, state["norm.weight"])


@torch.inference_mode()
@pytest.mark.parametrize("name", ["vit.safetensors", "vit.pth"])
def test_a_file_that_timm_wrote(tmp_path, name: str) -> None:
    """A grey picture of the size that it was trained for gives the tokens that timm gives, which sums colours too."""
    timm = library("timm")
    torch.manual_seed(0)
    pictures = timm.create_model("vit_tiny_patch16_224", depth=3)
    for table in (pictures.cls_token, pictures.pos_embed):
        torch.nn.init.normal_(table)
    if name.endswith("pth"):
        torch.save(pictures.state_dict(), tmp_path / name)
    else:
        safetensors.torch.save_file(pictures.state_dict(), tmp_path / name)
    file = {"file": str(tmp_path / name)}
    theirs = timm.create_model(
        "vit_tiny_patch16_224", depth=3, in_chans=1, num_classes=0, pretrained=True, pretrained_cfg_overlay=file
    ).eval()
    settings = from_dict(vit.Settings, {"size": "tiny", "depth": 3})
    ours = vit.build(settings, 224, 224).eval()
    load_imagenet(ours, str(tmp_path / name))
    x = torch.randn(2, 1, 224, 224)
    tokens = ours(x)
    expected = theirs.forward_features(x)
    torch.testing.assert_close(tokens.cls, expected[:, 0], atol=1e-4, rtol=0)
    torch.testing.assert_close(tokens.patches, expected[:, 1:], atol=1e-4, rtol=0)
    load_imagenet(vit.build(settings, 592, 128), str(tmp_path / name))  # the published spectrogram
