"""Clip embeddings to Kaldi archives: one vector an utterance, from a fine-tuned model or a bare backbone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asit.config import REQUIRED, Options, group, option
from asit.kaldi.ark import ArkWriter
from asit.runs.embedder import Embedder, EmbedderSettings


@dataclass(frozen=True)
class Settings(Options):
    """Write clip embeddings of a data directory to embeddings.ark and embeddings.scp."""

    model: str = option(REQUIRED, "model.safetensors of asit-finetune or backbone.safetensors of asit-pretrain")
    data_dir: str = option(REQUIRED, "data directory with feats.scp and conf/fbank.yaml")
    out_dir: str = option(REQUIRED, "folder for embeddings.ark and embeddings.scp")
    embedder: EmbedderSettings = group(EmbedderSettings)


def embed(settings: Settings) -> int:
    """Write the embeddings; returns their number.

    Raises:
        AsitError: another front end than the model's, or features that cannot be read.
    """
    embedder = Embedder(settings.model, settings.embedder)
    dataset = embedder.open(settings.data_dir)
    vectors = embedder.vectors(dataset.read(i) for i in range(len(dataset)))
    out = Path(settings.out_dir)
    with ArkWriter(out / "embeddings.ark", out / "embeddings.scp") as writer:
        for utt, vector in zip(dataset.utts, vectors, strict=True):
            writer.write(utt, vector)
    return len(vectors)
