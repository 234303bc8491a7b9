"""A model as one function from a batch of clips to what asit says of them: what --to onnx and torchscript write.

B clips of one length, S samples, T frames, F mel bins, W windows of a clip, D width, C classes. As
:class:`asit.runs.model.Model` does, it takes windows that overlap by half and averages over them; a clip shorter than
one is filled up with silence, which attention does not see.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from asit.export.facts import described
from asit.export.log_mel import LogMel
from asit.runs.model import Model
from asit.runs.windows import OVERLAP


class Window(nn.Module):
    """One crop's worth of normalised features -> embedding, and of a fine-tuned model class probabilities."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.classifier, self.task = model.network, model.task

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, frames, F), valid frames (B,) -> embeddings (B, D) and probabilities (B, C); C = 0 of a backbone."""
        found = self.classifier.embed(x, lengths)
        if self.task is None:
            return found, found[:, :0]
        return found, self.task.scores(self.classifier.head(self.classifier.norm(found)))


class Graph(nn.Module):
    """Clips of any length, all of one in a batch. Compared with asit by the tests, to 1e-4.

    Args:
        window: a :class:`Window`, or what was traced of it.
        with_front_end: take samples (B, S) float32 in [-1, 1] at the model's rate; else log-mels (B, T, F) as
            ``Model.features`` gives them, not normalised.
    """

    def __init__(self, model: Model, window: nn.Module, with_front_end: bool) -> None:
        super().__init__()
        self.window = window
        self.log_mel = LogMel(model.fbank.settings) if with_front_end else nn.Identity()
        stats = model.front_end.stats
        self.mean, self.width = float(stats.mean), 2.0 * float(stats.std)
        self.silence = float(model.front_end.silence)
        self.frames = model.frames
        self.hop = max(1, round(model.frames * (1.0 - OVERLAP)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (B, D) and class probabilities (B, C)."""
        feats = (self.log_mel(x) - self.mean) / self.width
        clips, length, mels = feats.shape[0], feats.shape[1], feats.shape[2]
        starts = self._starts(length, feats)
        places = (starts[:, None] + torch.arange(self.frames, device=feats.device)[None, :]).reshape(-1)
        padding = torch.full_like(feats[:, :1], self.silence).expand(clips, self.frames, mels)
        pieces = torch.cat([feats, padding], dim=1)[:, places].reshape(-1, 1, self.frames, mels)
        lengths = (length - starts).clamp(max=self.frames)
        found, scores = self.window(pieces, lengths.repeat(clips))
        windows = starts.shape[0]
        return (
            found.reshape(clips, windows, found.shape[1]).mean(dim=1),
            scores.reshape(clips, windows, scores.shape[1]).mean(dim=1),
        )

    def _starts(self, length: int, feats: Tensor) -> Tensor:
        """:func:`asit.runs.windows.window_starts`, int64 (W,)."""
        if torch.jit.is_scripting():
            rest = max(length - self.frames, 0)
            steps = (rest + self.hop - 1) // self.hop
            most = max(steps, 1)
        else:  # the length has no value yet
            rest = torch.sym_max(length - self.frames, 0)
            steps = (rest + self.hop - 1) // self.hop
            most = torch.sym_max(steps, 1)
        number = torch.arange(steps + 1, device=feats.device)
        return ((number * rest).double() / most).round().long()


class EmbeddingGraph(nn.Module):
    """The same of a backbone, which has no classes: embeddings (B, D) alone."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.inner = graph

    def forward(self, x: Tensor) -> Tensor:
        """(B, S) or (B, T, F) -> (B, D)."""
        return self.inner(x)[0]


def whole(model: Model, window: nn.Module, with_front_end: bool) -> nn.Module:
    """A model's :class:`Graph` with what it has to give."""
    graph = Graph(model, window, with_front_end)
    return (graph if model.labels else EmbeddingGraph(graph)).eval().requires_grad_(False)


def facts(model: Model, file: str, with_front_end: bool) -> dict[str, Any]:
    """config.json: what goes in, what comes out."""
    settings = model.fbank.settings
    least = (settings.window_size if settings.snip_edges else settings.window_shift) if with_front_end else 1
    given = {
        "name": "waveform" if with_front_end else "features",
        "shape": ["clips", "samples"] if with_front_end else ["clips", "frames", settings.dim],
        "dtype": "float32",
        "least": least,
        "holds": f"samples in [-1, 1] at {settings.sample_rate} Hz, one channel"
        if with_front_end
        else "log-mels as the front end below makes them, not normalised",
    }
    outputs = {"embedding": ["clips", model.embedding_dim]}
    if model.labels:
        outputs["probabilities"] = ["clips", len(model.labels)]
    return {"file": file, "input": given, "outputs": outputs, "asit": described(model)}
