"""What asit-plot draws: pictures of a recording, of a training's course, and of many clips' embeddings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from asit.config import REQUIRED, Options, group, option
from asit.errors import AsitError
from asit.features.picture import save
from asit.io.any_audio import sources
from asit.kaldi.data_dir import DataDir
from asit.runs.curves import curves_figure, runs_below
from asit.runs.embedder import Embedder, EmbedderSettings
from asit.runs.embedding_map import embedding_map
from asit.runs.model import Model
from asit.runs.plots import KINDS, figure_of
from asit.runs.recordings import RecordingSettings, heard
from asit.train.distributed import pick_device

WHAT = (*KINDS, "curves", "embedding-map")


@dataclass(frozen=True)
class Settings(Options):
    """Draw what a model hears in a recording and makes of it, how a training went, or a map of embeddings, as a PNG."""

    what: str = option("spectrogram", "the picture", WHAT, positional=True)
    model: str = option("", "model.safetensors, backbone.safetensors or asit-tiny; of curves none")
    wav: tuple[str, ...] = option((), "the recording; of embedding-map many, as for asit-predict, by their folders")
    data_dir: str = option(
        "", "for embedding-map in place of --wav: data directory with features, and with utt2label for colours"
    )
    exp: str = option("", "for curves: folder of an experiment, or of one run")
    out: str = option(REQUIRED, "PNG file to write")
    layer: int = option(-1, "block of attention, or after which embeddings are taken; -1: the last")
    seed: int = option(0, "seed of the corruption before a reconstruction", least=0)
    ngpu: int | None = option(0, "GPUs to use; 0: CPU")
    recordings: RecordingSettings = group(RecordingSettings)


def plot(settings: Settings, failed: list[str] | None = None) -> str:
    """Write the picture; one line that says what it shows.

    Args:
        failed: see :func:`asit.runs.recordings.heard`; of the recordings of an embedding map.

    Raises:
        AsitError: what the picture needs is not given, or see the pictures.
    """
    figure, said = _curves(settings) if settings.what == "curves" else _of_model(settings, failed)
    save(figure, settings.out)
    return f"{settings.out}: {said}"


def _curves(settings: Settings) -> tuple[Any, str]:
    if not settings.exp:
        raise AsitError("curves: expected --exp, the folder of an experiment or of a run")
    runs = runs_below(settings.exp)
    more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
    return curves_figure(runs), f"course of {', '.join(run.name for run in runs[:3])}{more}"


def _of_model(settings: Settings, failed: list[str] | None) -> tuple[Any, str]:
    if not settings.model:
        raise AsitError(f"{settings.what}: expected --model, such as asit-tiny or a run's backbone.safetensors")
    if not settings.wav and not (settings.data_dir and settings.what == "embedding-map"):
        raise AsitError(f"{settings.what}: expected --wav, the recording" + "s" * (settings.what == "embedding-map"))
    embedder = Embedder(settings.model, EmbedderSettings(), pick_device(settings.ngpu))
    if settings.what == "embedding-map":
        return _map(embedder, settings, failed)
    model = Model.of(embedder)
    recordings = sources(settings.wav)
    if len(recordings) > 1:
        raise AsitError(f"{settings.what}: expected one recording, found {len(recordings)}; draw one after another")
    one = next(heard(recordings, settings.recordings, model, None))
    given = {"attention": {"layer": settings.layer}, "reconstruction": {"seed": settings.seed}}
    figure = figure_of(model, one.feats, settings.what, one.source.name, **given.get(settings.what, {}))
    return figure, f"{settings.what} of {one.source.name}, {one.seconds:.2f} s"


def _map(embedder: Embedder, settings: Settings, failed: list[str] | None) -> tuple[Any, str]:
    model, labels = Model.of(embedder), []

    def feats() -> Iterator[np.ndarray]:
        if settings.data_dir:
            features = embedder.open(settings.data_dir)
            data = DataDir(settings.data_dir)
            known = data.utt2label if os.path.isfile(data.file("utt2label")) else {}
            for number, utt in enumerate(features.utts):
                labels.append(",".join(known.get(utt, ())))
                yield features.read(number)
            return
        for one in heard(sources(settings.wav), settings.recordings, model, failed):
            labels.append(os.path.basename(os.path.dirname(os.path.abspath(one.source.path))))
            yield one.feats

    progress = tqdm(feats(), desc="embeddings", unit="clip", disable=None)
    vectors = np.stack(list(model.embeddings(progress, "clip", None if settings.layer == -1 else settings.layer)))
    shown = f"{len(vectors)} clips, embedded by {os.path.basename(settings.model)}"
    return embedding_map(vectors, labels, shown), f"map of {len(vectors)} clips, {len(set(labels))} labels"
