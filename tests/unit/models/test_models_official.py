"""Released checkpoints: names, sizes read off the weights, refusals."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from asit.errors import AsitError
from asit.models.official import ImportSettings, import_model, import_network
from asit.models.trained import load_backbone

GOLDEN = Path(__file__).parents[2] / "golden"


def checkpoint(path: Path, variant: str) -> dict[str, torch.Tensor]:
    """A file as the released code writes it, of the golden model; returns its teacher."""
    with np.load(GOLDEN / f"asit_{variant}_step.npz") as stored:
        networks = {
            which: {
                n.removeprefix(which + "/"): torch.from_numpy(stored[n]) for n in stored.files if n.startswith(which)
            }
            for which in ("student", "teacher")
        }
    content = {
        "student": {f"module.{name}": value for name, value in networks["student"].items()},
        "teacher": networks["teacher"],
        "epoch": 3,
        "args": argparse.Namespace(lr=5e-4),
    }
    torch.save(content, path)
    return networks["teacher"]


@pytest.mark.parametrize(("variant", "rate"), [("v1", 32000), ("v2", 16000)])
@pytest.mark.parametrize("network", ["teacher", "student"])
def test_a_released_file_becomes_a_backbone(tmp_path: Path, variant: str, rate: int, network: str) -> None:
    official = checkpoint(tmp_path / "asit.pth", variant)
    out = tmp_path / "backbone.safetensors"
    facts = import_model(ImportSettings(checkpoint=str(tmp_path / "asit.pth"), out=str(out), network=network, heads=3))
    assert facts["frames"] == 592
    assert facts["front_end"]["sample_rate"] == rate
    backbone = load_backbone(str(out), from_scratch=False, drop_path=None, crop_frames=0)
    assert backbone.front_end.stats.mean == pytest.approx(-4.2677393)
    if network == "teacher":
        own = backbone.module.state_dict()
        for name, value in own.items():
            assert torch.equal(value, official[f"backbone.{name}"]), name


def test_refusals(tmp_path: Path) -> None:
    path, out = tmp_path / "asit.pth", tmp_path / "backbone.safetensors"

    def refuse(content: object, message: str) -> None:
        torch.save(content, path)
        with pytest.raises(AsitError, match=message):
            import_model(ImportSettings(checkpoint=str(path), out=str(out)))
        assert not out.exists()

    refuse({"student": {}}, "expected an entry 'teacher', found student")
    refuse({"teacher": {"head.weight": torch.zeros(2)}}, "holds no ViT backbone")
    refuse({"teacher": {**checkpoint(path, "v2"), "backbone.norm.bias": torch.zeros(7)}}, r"such as 'norm.bias'")
    refuse(Path("/"), "cannot read as a PyTorch checkpoint")  # any object but plain data is refused
    path.write_bytes(b"text")
    with pytest.raises(AsitError, match="cannot read as a PyTorch checkpoint"):
        import_model(ImportSettings(checkpoint=str(path), out=str(out)))


def test_names_of_neither_variant_are_refused() -> None:
    with pytest.raises(AsitError, match="not a parameter of the released ASiT models"):
        import_network({"decoder.weight": torch.zeros(1)}, [])
    with pytest.raises(AsitError, match="does not fit the model"):
        import_network({"backbone.norm.bias": torch.zeros(1)}, ["backbone.norm.weight"])


def bomb() -> torch.Tensor:
    """A tensor of 10^12 values in four bytes."""
    return torch.zeros(1).expand(10**6, 1, 1000, 1000)


@pytest.mark.parametrize(
    "content",
    [
        {"teacher": [1, 2]},
        {"teacher": "text"},
        {"teacher": None},
        {"teacher": {1: torch.zeros(1)}},
        {"teacher": {"backbone.pos_embed": 3}},
        {"teacher": {"backbone.pos_embed": [torch.zeros(1)]}},
        {"teacher": {"backbone.patch_embed.proj.weight": bomb(), "backbone.pos_embed": torch.zeros(1, 2, 3)}},
        {"teacher": {"backbone.patch_embed.proj.weight": torch.zeros(8, 1, 4, 4).to_sparse()}},
        {
            "teacher": {
                "backbone.patch_embed.proj.weight": torch.zeros(8, 1, 4, 4),
                "backbone.pos_embed": torch.zeros(3),
            }
        },
        {
            "teacher": {
                "backbone.patch_embed.proj.weight": torch.zeros(8, 1, 4, 0),
                "backbone.pos_embed": torch.zeros(1, 3, 8),
                "backbone.blocks.0.x": torch.zeros(1),
            }
        },
        {
            "teacher": {
                "backbone.patch_embed.proj.weight": torch.zeros(8, 1, 4, 4),
                "backbone.pos_embed": torch.zeros(1, 3, 8),
                "backbone.blocks.999999999.x": torch.zeros(1),
            }
        },
        {"x" * 10_000: 1},
        torch.zeros(3),
        [],
    ],
    ids=range(14),
)
def test_other_contents_are_refused_with_the_file(tmp_path: Path, content: object) -> None:
    path = tmp_path / "asit.pth"
    torch.save(content, path)
    with pytest.raises(AsitError, match=r"asit\.pth: ") as error:
        import_model(ImportSettings(checkpoint=str(path), out=str(tmp_path / "out")))
    assert len(str(error.value)) < 1000
    assert not (tmp_path / "out").exists()
