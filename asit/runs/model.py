"""A trained model for any audio: classes, text, events, embeddings of clips and frames, attention.

B windows, T frames, N patches of a clip, D width, H heads, C classes.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from asit.config import from_dict
from asit.errors import AsitError
from asit.features.picture import save
from asit.layers.attention import Attention
from asit.runs import detection, recognition, windows
from asit.runs.listener import Audio, Listener, is_many, name_of
from asit.runs.windows import WindowSettings
from asit.tasks.decoding import DecodingSettings
from asit.tasks.sed import Detected, EventSettings

LEVELS = ("clip", "frame", "patch")


class Segment(NamedTuple):
    """A stretch of a recording and its classes, the most probable first."""

    start: float  # seconds
    end: float
    classes: list[tuple[str, float]]


class Model(Listener):
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
        found = self.classify_features(self.clips_of(audio, rate, channel), top_k, scoring)
        return found if is_many(audio) else found[0]

    def classify_features(
        self, clips: Iterable[np.ndarray], top_k: int | None = None, scoring: str = "windows"
    ) -> list[list[tuple[str, float]]]:
        """:meth:`classify` of log-mel features (T, F), clip by clip."""
        return [self._ranked(row, top_k) for row in self._scores(clips, scoring)]

    def transcribe(
        self, audio: Audio, rate: int | None = None, *, channel: int | str | None = None, **decoding: Any
    ) -> Any:
        """What is said in a recording of any length, a string.

        Args:
            decoding: fields of :class:`asit.tasks.decoding.DecodingSettings`, such as ``beam=10, lm="lm.arpa"``.

        Raises:
            AsitError: a model that was not trained on transcripts, or audio that cannot be read.
        """
        given = {name: os.fspath(value) if name == "lm" else value for name, value in decoding.items()}
        decode = self.decoder(from_dict(DecodingSettings, given))
        found = self.transcripts(self.clips_of(audio, rate, channel), decode)
        return found if is_many(audio) else found[0]

    def transcripts(self, clips: Iterable[np.ndarray], decode: Callable[[np.ndarray], str]) -> list[str]:
        """:meth:`transcribe` of log-mel features (T, F), clip by clip."""
        return recognition.transcripts(self.network, decode, clips, self.front_end)

    def decoder(self, settings: DecodingSettings) -> Callable[[np.ndarray], str]:
        """What makes text of the network's outputs, for :meth:`transcripts`.

        Raises:
            AsitError: a model that was not trained on transcripts, or a language model that does not fit it.
        """
        if self.learned_from != "text":
            raise AsitError(f"{self.path}: not trained on transcripts; give a model of asit-finetune --task ctc")
        return self.task.decoder(settings)

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
        found = self.events_of(self.clips_of(audio, rate, channel), settings)
        return found if is_many(audio) else found[0]

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
        length = round(seconds / shift) if math.isfinite(seconds) else 0
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
        clips = self.clips_of(audio, rate, channel)
        found = list(self.embeddings(clips, level, layer))
        return found if is_many(audio) else found[0]

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

        figure = figure_of(self, self.features(audio, rate, channel=channel), what, name_of(audio), **options)
        if out is not None:
            save(figure, out)
        return figure

    def _scores(self, clips: Iterable[np.ndarray], scoring: str) -> np.ndarray:
        trained = self._embedder.trained
        if self.learned_from == "text":
            raise AsitError(
                f"{self.path}: trained on transcripts, not classes; asit-transcribe or transcribe() gives text"
            )
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
        if top_k is not None and top_k < 1:
            raise AsitError(f"top_k: expected at least 1, found {top_k}")
        return [(self.labels[i], float(scores[i])) for i in np.argsort(-scores, kind="stable")[:top_k]]

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
