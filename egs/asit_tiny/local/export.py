#!/usr/bin/env python3
"""exp/pretrain_0/backbone.safetensors -> the weights that ship: half precision, with the corpora and their licences."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import torch

from asit.config import Options, option, parse
from asit.errors import AsitError, command
from asit.models import heads, model_file

LARGEST = 12 * 2**20  # bytes


@dataclass(frozen=True)
class ExportSettings(Options):
    """Which backbone, and where it goes."""

    backbone: str = option("exp/pretrain_0/backbone.safetensors", "what pretraining has left")
    corpora: str = option("conf/corpora.tsv", "names, licences and authors of what it has heard")
    out: str = option("exp/asit-tiny.safetensors", "file to write; ../../asit/weights/asit-tiny.safetensors ships")


@command
def main() -> None:
    """Round the weights, add where they come from, write the file.

    Raises:
        AsitError: no backbone, or one too large to ship.
    """
    settings = parse(ExportSettings)
    tensors, facts = model_file.load(settings.backbone)
    if facts.get("kind") != "backbone":
        raise AsitError(
            f"{settings.backbone}: expected a backbone, found '{facts.get('kind')}'; give one of asit-pretrain"
        )
    with Path(settings.corpora).open(encoding="utf-8", newline="") as stream:
        corpora = list(csv.DictReader(stream, delimiter="\t"))
    facts["corpora"] = [{name: row[name] for name in ("name", "licence", "authors")} for row in corpora]
    facts["licence"] = "CC-BY-SA-4.0"  # the strictest of them: free use with attribution, under the same terms
    halved = _halved(tensors, settings.backbone)
    model_file.save(settings.out, halved, facts)
    kept = heads.beside(settings.backbone)
    filling, of_heads = model_file.load(kept)
    model_file.save(heads.beside(settings.out), _halved(filling, kept), of_heads)
    size = Path(settings.out).stat().st_size
    if size > LARGEST:
        raise AsitError(f"{settings.out}: expected {LARGEST} bytes at most, found {size}; take a smaller network")
    print(f"{settings.out}: {sum(t.numel() for t in halved.values())} weights, {size / 2**20:.1f} MiB")


def _halved(tensors: dict[str, torch.Tensor], path: str) -> dict[str, torch.Tensor]:
    halved = {name: tensor.to(torch.float16) for name, tensor in tensors.items()}
    if not all(torch.isfinite(tensor).all() for tensor in halved.values()):
        raise AsitError(f"{path}: a weight is too large for half precision; train it again")
    return halved


if __name__ == "__main__":
    raise SystemExit(main())
