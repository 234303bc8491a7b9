"""A model file and the front end through which it hears: any audio to its features.

T frames, F mel bins, D width, H heads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import torch

from asit.errors import AsitError, excerpt
from asit.features.fbank import Fbank
from asit.io.any_audio import waveform
from asit.io.channels import MIX, channel_of
from asit.runs.embedder import Embedder, EmbedderSettings

Audio = Any  # a path, an array or a tensor: asit.io.any_audio.waveform


class Listener:
    """What a model is before it is asked anything; users open an :class:`asit.runs.model.Model`.

    Attributes: those of the model.

    Raises AsitError for no such model file, a damaged one, or no such device.
    """

    def __init__(self, path: str | os.PathLike[str], device: str | torch.device = "cpu") -> None:
        self._use(Embedder(os.fspath(path), EmbedderSettings(), place(device)))

    @classmethod
    def of(cls, embedder: Embedder) -> Self:
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

    def to(self, device: str | torch.device) -> Self:
        """Move the network to a device. Raises AsitError for one that there is not."""
        self._embedder.device = place(device)
        self.network.to(self._embedder.device)
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
        chosen = self.channel if channel is None else channel_of(str(channel))
        return self.features_of_wave(waveform(audio, self.sample_rate, rate, chosen), name_of(audio))

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

    def clips_of(self, audio: Audio, rate: int | None, channel: int | str | None) -> Iterable[np.ndarray]:
        """Features of each recording that a method was given, read when its turn comes."""
        return (self.features(one, rate, channel=channel) for one in (audio if is_many(audio) else [audio]))


def place(device: str | torch.device) -> torch.device:
    """A device of this machine.

    Raises:
        AsitError: no such device.
    """
    try:
        where = torch.device(device)
        torch.empty(0, device=where)
    except (RuntimeError, AssertionError) as error:
        gpu = "torch finds no GPU on this machine" if str(device).startswith("cuda") else excerpt(error)
        raise AsitError(f"device '{device}': {gpu}; use 'cpu'") from None
    return where


def is_many(audio: Audio) -> bool:
    """Whether it is several recordings."""
    return isinstance(audio, list | tuple)


def name_of(audio: Audio) -> str:
    """What messages call it."""
    return os.fspath(audio) if isinstance(audio, str | os.PathLike) else "array"
