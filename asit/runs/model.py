"""A trained model for any audio: class probabilities, embeddings of clips and frames, attention.

B windows, T frames, N patches of a clip, D width, H heads, C classes.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from asit.errors import AsitError
from asit.features.fbank import Fbank
from asit.features.picture import save
from asit.io.any_audio import waveform
from asit.io.audio import MIX, channel_of
from asit.layers.attention import Attention
from asit.runs import detection, recognition, windows
from asit.runs.embedder import Embedder, EmbedderSettings
from asit.runs.windows import WindowSettings
from asit.tasks.sed import Detected, EventSettings

LEVELS = ("clip", "frame", "patch")
Audio = Any  # a path, an array or a tensor: asit.io.any_audio.waveform


class Segment(NamedTuple):
    """A stretch of a recording and its classes, the most probable first."""

    start: float  # seconds
    end: float
    classes: list[tuple[str, float]]


class Model:
    """A fine-tuned model or a pretrained backbone.

    Wherever a method takes ``audio``, it is a path, or samples as an array or tensor with their ``rate`` in Hz:
    (samples,), (samples, channels) or (channels, samples), integers of any kind or floats in [-1, 1]. A list of these
    gives a list of results; one recording at a time is in memory. Rates are converted; ``channel`` takes one of
    several, "mix" their mean, None what the model's recipe took, else their mean. Recordings longer than the crops of
    the training are taken in overlapping windows.

    Args:
        path: ``model.safetensors``, ``backbone.safetensors``, or the name of weights that ship, such as "asit-tiny".
        device: "cpu", "cuda", "cuda:1".

    Attributes: ``path``; ``labels`` of a classifier, else empty; ``learned_from``, the table of its targets, such as
    utt2label; ``metadata`` of the file; ``backbone``, a module, and ``network``, which pools its tokens; ``task``, None
    of a backbone; ``fbank``, which makes its features; ``front_end``, which normalises them; ``frames`` of a window.

    Raises AsitError for no such model file, a damaged one, or no such device.
    """

    def __init__(self, path: str | os.PathLike[str], device: str | torch.device = "cpu") -> None:
        where = torch.device(device)
        if where.type == "cuda" and not torch.cuda.is_available():
            raise AsitError(f"device '{device}': torch finds no GPU on this machine; use 'cpu'")
        self._use(Embedder(os.fspath(path), EmbedderSettings(), where))

    @classmethod
    def of(cls, embedder: Embedder) -> Model:
        """With the pooling and windows of a command."""
        model = cls.__new__(cls)
        model._use(embedder)
        return model

    def _use(self, embedder: Embedder) -> None:
        self._embedder, self.path = embedder, embedder.path
        self.metadata: dict[str, Any] = embedder.metadata
        trained = self._embedder.trained
        self.task = trained.task if trained else None
        self.learned_from: str = trained.task.table if trained else ""
        self.labels: list[str] = list(trained.task.labels) if trained and self.learned_from != "text" else []
        self.network, self.front_end = self._embedder.network, self._embedder.front_end
        self.backbone = self.network.backbone
        self.fbank = Fbank(self.front_end.fbank)
        self.frames = self._embedder.frames

    def to(self, device: str | torch.device) -> Model:
        """Move the network to a device."""
        self._embedder.device = torch.device(device)
        self.network.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self._embedder.device

    @property
    def sample_rate(self) -> int:
        """Hz at which the network hears; other rates are converted."""
        return self.fbank.settings.sample_rate

    @property
    def channel(self) -> int | str:
        """What is taken of several channels unless told otherwise: what the model's recipe took, else their mean."""
        channel = channel_of(self.fbank.settings.channel)
        return MIX if channel is None else channel

    @property
    def dim(self) -> int:
        """D, the width of frame and patch embeddings."""
        return self.backbone.embed_dim

    @property
    def hop(self) -> float:
        """Seconds between frame embeddings."""
        return self.backbone.patch_embed.stride[0] * self.fbank.settings.frame_shift / 1000

    @property
    def embedding_dim(self) -> int:
        """Width of a clip's embedding: the model's pooling may set several side by side."""
        return self.network.head.in_features

    @property
    def heads(self) -> int:
        """H, attention heads of a block."""
        return self.backbone.blocks[0].attn.heads

    @property
    def num_layers(self) -> int:
        """Blocks of the network."""
        return self.backbone.num_layers

    def features(self, audio: Audio, rate: int | None = None, *, channel: int | str | None = None) -> np.ndarray:
        """Log-mel features, float32 (T, F), not normalised, as the model's recipe makes them."""
        chosen = self.channel if channel is None else channel
        return self.features_of_wave(waveform(audio, self.sample_rate, rate, chosen), _name(audio))

    def features_of_wave(self, wave: np.ndarray, name: str = "array") -> np.ndarray:
        """The same of samples at the model's rate.

        Raises:
            AsitError: fewer samples than a frame has.
        """
        settings = self.fbank.settings
        need = 1 if settings.num_frames(len(wave)) else settings.window_size
        if len(wave) < need:  # the front end's own words offer an option that is the model's, not the user's
            raise AsitError(
                f"{name}: expected at least {need} samples ({1000 * need / self.sample_rate:g} ms) at "
                f"{self.sample_rate} Hz, found {len(wave)}; leave the recording out"
            )
        return self.fbank(wave, name)

    def classify(
        self,
        audio: Audio,
        rate: int | None = None,
        *,
        top_k: int | None = None,
        channel: int | str | None = None,
        scoring: str = "windows",
    ) -> Any:
        """Classes with probabilities, the most probable first: ``[("dog", 0.93), ...]``.

        Args:
            top_k: how many; None: all of them.
            scoring: of long clips, the mean over "windows", or "whole" at once with interpolated positions.

        Raises:
            AsitError: a backbone, which has no classes, or audio that cannot be read.
        """
        found = self.classify_features(self._clips(audio, rate, channel), top_k, scoring)
        return found if _many(audio) else found[0]

    def classify_features(
        self, clips: Iterable[np.ndarray], top_k: int | None = None, scoring: str = "windows"
    ) -> list[list[tuple[str, float]]]:
        """:meth:`classify` of log-mel features (T, F), clip by clip."""
        return [self._ranked(row, top_k) for row in self._scores(clips, scoring)]

    def transcribe(
        self, audio: Audio, rate: int | None = None, *, channel: int | str | None = None, beam: int = 1
    ) -> Any:
        """What is said in a recording of any length, a string.

        Args:
            beam: prefixes kept while decoding; 1: the best unit of each time step.

        Raises:
            AsitError: a model that was not trained on transcripts, or audio that cannot be read.
        """
        found = self.transcripts(self._clips(audio, rate, channel), beam)
        return found if _many(audio) else found[0]

    def transcripts(self, clips: Iterable[np.ndarray], beam: int = 1) -> list[str]:
        """:meth:`transcribe` of log-mel features (T, F), clip by clip."""
        if self.learned_from != "text":
            raise AsitError(f"{self.path}: not trained on transcripts; give a model of asit-finetune --task ctc")
        return recognition.transcripts(self.network, self.task, clips, self.front_end, beam)

    def events(
        self,
        audio: Audio,
        rate: int | None = None,
        *,
        channel: int | str | None = None,
        threshold: float | None = None,
        median_filter: float | None = None,
    ) -> Any:
        """What is heard when in a recording of any length: :class:`asit.tasks.sed.Detected` by their starts.

        Args:
            threshold: probability from which a class is heard; None: as in the model's file, as with the next.
            median_filter: its seconds, against short events and short gaps.

        Raises:
            AsitError: a model that was not trained on events, or audio that cannot be read.
        """
        settings = EventSettings(event_threshold=threshold, median_filter=median_filter)
        found = self.events_of(self._clips(audio, rate, channel), settings)
        return found if _many(audio) else found[0]

    def events_of(self, clips: Iterable[np.ndarray], settings: EventSettings | None = None) -> list[list[Detected]]:
        """:meth:`events` of log-mel features (T, F), clip by clip."""
        if self.learned_from != "events":
            raise AsitError(f"{self.path}: not trained on events; give a model of asit-finetune --task sed")
        return detection.events(self.network, self.task, clips, self.front_end, settings)

    def segments(
        self,
        audio: Audio,
        rate: int | None = None,
        *,
        seconds: float = 1.0,
        top_k: int | None = None,
        channel: int | str | None = None,
    ) -> list[Segment]:
        """One recording, classified stretch by stretch; the last one ends with the recording.

        Raises:
            AsitError: as :meth:`classify`, or stretches shorter than a frame.
        """
        return self.segments_of(self.features(audio, rate, channel=channel), seconds, top_k)

    def segments_of(self, feats: np.ndarray, seconds: float, top_k: int | None) -> list[Segment]:
        """:meth:`segments` of log-mel features (T, F)."""
        shift = self.fbank.settings.frame_shift / 1000
        length = round(seconds / shift)
        if length < 1:
            raise AsitError(f"seconds: expected at least {shift:g}, a frame, found {seconds:g}")
        starts = range(0, max(1, len(feats) - length // 2), length)  # a short rest goes to the stretch before it
        edges = [*starts, len(feats)]
        rows = self._scores((feats[a:b] for a, b in itertools.pairwise(edges)), "windows")
        return [
            Segment(a * shift, b * shift, self._ranked(row, top_k))
            for (a, b), row in zip(itertools.pairwise(edges), rows, strict=True)
        ]

    def embed(
        self,
        audio: Audio,
        rate: int | None = None,
        *,
        level: str = "clip",
        layer: int | None = None,
        channel: int | str | None = None,
    ) -> Any:
        """Embeddings, float32, without gradient.

        Args:
            level: "clip" gives one vector, of a fine-tuned model with its own pooling, of a backbone the mean of the
                patches; "frame" gives (N, D) and the times (N,) of its rows in seconds, the middle of each; "patch"
                keeps the bands apart: (N, bands, D) and times.
            layer: take the tokens after this many blocks; -1 or None: after all; 0: the patches as they enter.

        Raises:
            AsitError: an unknown level or layer, or audio that cannot be read.
        """
        clips = self._clips(audio, rate, channel)
        found = list(self.embeddings(clips, level, layer))
        return found if _many(audio) else found[0]

    def embeddings(self, clips: Iterable[np.ndarray], level: str = "clip", layer: int | None = None) -> Iterable[Any]:
        """:meth:`embed` of log-mel features (T, F), clip by clip."""
        if level not in LEVELS:
            raise AsitError(f"level: expected one of {', '.join(LEVELS)}, found '{level}'")
        blocks = self._layer(layer)
        if level == "clip":
            yield from self._embedder.vectors(clips, None if layer is None else blocks)
            return
        for feats in clips:
            tokens, times = self._by_patch(lambda x, n: self.backbone(x, n, blocks).patches, feats)
            yield (tokens.mean(axis=1) if level == "frame" else tokens), times

    def hidden(
        self, audio: Audio, rate: int | None = None, *, channel: int | str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`embed` at the level "frame" of one recording for layer 0, 1, ... and all, in one pass.

        Returns:
            float32 (1 + blocks, N, D), and times (N,).
        """

        def states(x: Tensor, lengths: Tensor | None) -> Tensor:
            return torch.cat([tokens.patches for tokens in self.backbone.hidden(x, lengths)], dim=2)

        values, times = self._by_patch(states, self.features(audio, rate, channel=channel))
        return values.mean(axis=1).reshape(len(times), -1, self.dim).transpose(1, 0, 2), times

    def attention(
        self, audio: Audio, rate: int | None = None, *, layer: int = -1, channel: int | str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the class token looks at: its attention to every patch in a block.

        Returns:
            float32 (N, bands, H), which sums to at most 1 for a head over a window, and the times (N,) in seconds.
            Where windows overlap, their mean.

        Raises:
            AsitError: no such block, or audio that cannot be read.
        """
        return self.attention_of_features(self.features(audio, rate, channel=channel), layer)

    def attention_of_features(self, feats: np.ndarray, layer: int = -1) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`attention` of log-mel features (T, F)."""
        blocks = self._layer(layer)
        if blocks == 0:
            raise AsitError(f"layer: expected a block, 1 to {self.num_layers} or -1, found {layer}")
        seen: list[Tensor] = []

        def look(x: Tensor, lengths: Tensor | None) -> Tensor:
            attn: Attention = self.backbone.blocks[blocks - 1].attn
            hook = attn.register_forward_hook(lambda _, given, __: seen.append(attn.weights(*given)[:, :, 0, 1:]))
            try:
                self.backbone(x, lengths, blocks)
            finally:
                hook.remove()
            return seen.pop().transpose(1, 2)  # (B, N, H)

        return self._by_patch(look, feats)

    def plot(
        self,
        audio: Audio,
        rate: int | None = None,
        *,
        what: str = "spectrogram",
        out: str | os.PathLike[str] | None = None,
        channel: int | str | None = None,
        **options: int,
    ) -> Any:
        """A picture of one recording, as a matplotlib figure; see :data:`asit.runs.plots.KINDS`.

        Args:
            what: "spectrogram", "reconstruction" (``seed=`` of the corruption), "attention" (``layer=``) or, of a
                fine-tuned model, "classes" over time.
            out: a PNG file to write too.

        Raises:
            AsitError: no such picture of this model, or audio that cannot be read.
        """
        from asit.runs.plots import figure_of

        figure = figure_of(self, self.features(audio, rate, channel=channel), what, _name(audio), **options)
        if out is not None:
            save(figure, out)
        return figure

    def _scores(self, clips: Iterable[np.ndarray], scoring: str) -> np.ndarray:
        trained = self._embedder.trained
        if self.learned_from == "text":
            raise AsitError(f"{self.path}: trained on transcripts, it has no classes; transcribe() gives text")
        if self.learned_from == "events":
            raise AsitError(f"{self.path}: trained on events, which have times; asit-detect or events() gives them")
        if trained is None:
            raise AsitError(
                f"{self.path}: a backbone, which has no classes; embed() gives its embeddings, and "
                "asit-finetune makes a classifier of it"
            )
        settings = WindowSettings(scoring)
        return windows.score(trained.classifier, trained.task, clips, self.front_end, self.frames, settings)

    def _ranked(self, scores: np.ndarray, top_k: int | None) -> list[tuple[str, float]]:
        return [(self.labels[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")[:top_k]]

    def _clips(self, audio: Audio, rate: int | None, channel: int | str | None) -> Iterable[np.ndarray]:
        return (self.features(one, rate, channel=channel) for one in (audio if _many(audio) else [audio]))

    def _layer(self, layer: int | None) -> int:
        found = self.num_layers if layer is None else layer + (self.num_layers + 1) * (layer < 0)
        if not 0 <= found <= self.num_layers:
            raise AsitError(f"layer: expected 0 to {self.num_layers}, the blocks of the network, or -1, found {layer}")
        return found

    def _by_patch(self, forward: windows.Forward, feats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``forward`` (B, 1, T, F) -> (B, N, K) over the windows of a clip: (N, bands, K) and times."""
        embed = self.backbone.patch_embed
        values = windows.by_patch(forward, feats, self.front_end, self.frames, self.backbone, self.device)
        middle = embed.patch[0] / 2 * self.fbank.settings.frame_shift / 1000
        return values, np.arange(len(values)) * self.hop + middle


def _many(audio: Audio) -> bool:
    return isinstance(audio, list | tuple)


def _name(audio: Audio) -> str:
    return os.fspath(audio) if isinstance(audio, str | os.PathLike) else "array"
