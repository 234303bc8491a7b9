"""What a model file is, in words."""

from __future__ import annotations

import os
from dataclasses import dataclass

from asit.config import REQUIRED, Options, option
from asit.errors import excerpt
from asit.runs.model import Model


@dataclass(frozen=True)
class Settings(Options):
    """Say what a model file is: network, front end, classes, what it was trained on, its licence."""

    model: tuple[str, ...] = option(REQUIRED, "model.safetensors, backbone.safetensors, asit-tiny", positional=True)


def description(path: str | os.PathLike[str]) -> dict[str, str]:
    """What a model file says of itself, in words: name of the fact -> value.

    Raises:
        AsitError: no such model file, or a damaged one.
    """
    model = Model(path)
    facts, front_end = model.metadata, model.fbank.settings
    weights = sum(p.numel() for p in model.backbone.parameters())
    patch, labels = model.backbone.patch_embed.patch, facts.get("labels", [])
    trained = facts.get("pretraining", facts.get("provenance", {}))
    corpora = [
        str(corpus.get("name"))
        for corpus in facts.get("corpora", trained.get("corpora", []))
        if isinstance(corpus, dict)
    ]
    found = {
        "file": os.fspath(path),
        "kind": f"fine-tuned, task {facts['task']}" if "task" in facts else "pretrained backbone",
        "network": f"{facts['model']}, width {model.dim}, {model.num_layers} blocks, "
        f"{model.heads} heads, "
        f"{weights / 1e6:.1f} million weights",
        "patches": f"{patch[0]} frames x {patch[1]} mels; crops of {facts['frames']} frames",
        "front end": f"{front_end.sample_rate} Hz, {front_end.num_mel_bins} log-mels, "
        f"{front_end.frame_length:g} ms each "
        f"{front_end.frame_shift:g} ms"
        + (", each bin minus its mean over the clip" if front_end.cmn_window else "")
        + (f", channel {front_end.channel}" if front_end.channel else ""),
        "classes" if model.labels else "units": f"{len(labels)}: {excerpt(', '.join(labels), 200)}" if labels else "",
        "training": ", ".join(
            f"{name} {value}" for name, value in trained.items() if value not in ("", None) and name != "corpora"
        ),
        "corpora": ", ".join(corpora),
        "tags": ", ".join(f"{name} {value}" for name, value in facts.get("tags", {}).items()),
        "licence": str(facts.get("licence", "")),
    }
    return {name: " ".join(value.split()) for name, value in found.items() if value}
