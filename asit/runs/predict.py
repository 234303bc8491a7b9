"""Class names with probabilities for single recordings, straight from audio files."""

from __future__ import annotations

import logging
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from asit.config import REQUIRED, Options, group, option
from asit.errors import AsitError
from asit.features.fbank import Fbank
from asit.io.audio import range_problem, read_audio
from asit.models.trained import load_model
from asit.runs import windows
from asit.runs.windows import WindowSettings
from asit.train.distributed import pick_device

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings(Options):
    """Classify recordings: one line 'file <tab> rank <tab> class <tab> probability' for each of the best classes."""

    model: str = option(REQUIRED, "model.safetensors of asit-finetune")
    wav: tuple[str, ...] = option(
        REQUIRED, "audio files of any rate and any format that soundfile reads; -: standard input"
    )
    top_k: int = option(5, "number of classes shown for each file", least=1)
    channel: int | None = option(None, "channel of files with several, from 0; none: such files are refused")
    ngpu: int | None = option(0, "GPUs to use; 0: CPU")
    windows: WindowSettings = group(WindowSettings)


def predict(settings: Settings) -> Iterator[str]:
    """The output's lines, file by file: an unreadable file ends the output after what was read before it.

    Raises:
        AsitError: from the model file or an audio file, which is named.
    """
    model = load_model(settings.model, pick_device(settings.ngpu))
    fbank = Fbank(model.front_end.fbank)
    for path in settings.wav:
        feats = features_of(path, fbank, settings.channel)
        scores = windows.score(model.classifier, model.task, [feats], model.front_end, model.frames, settings.windows)[
            0
        ]
        order = np.argsort(-scores, kind="stable")[: settings.top_k]
        for rank, index in enumerate(order, 1):
            yield f"{path}\t{rank}\t{model.task.labels[index]}\t{scores[index]:.6f}"


def features_of(path: str, fbank: Fbank, channel: int | None) -> np.ndarray:
    """Log-mel features (T, F) of an audio file, resampled with a note when its rate is not the front end's."""
    rate = fbank.settings.sample_rate
    data = _streamed(path)
    samples, found = read_audio(path, channel=channel, data=data)
    if found != rate:
        log.warning("%s: resampled from %d Hz to the model's %d Hz", path, found, rate)
        samples, _ = read_audio(path, rate, resample=True, channel=channel, data=data)
    problem = range_problem(samples, fbank.settings.waveform_scale)
    if problem:
        log.warning("%s: %s", path, problem)
    need = 1 if fbank.settings.num_frames(len(samples)) else fbank.settings.window_size
    if len(samples) < need:  # the front end's own words offer an option that is the model's, not the user's
        raise AsitError(
            f"{path}: expected at least {need} samples ({1000 * need / rate:g} ms) at {rate} Hz, found {len(samples)}; "
            "leave the recording out"
        )
    return fbank(samples, path)


def _streamed(path: str) -> bytes | None:
    """The content of standard input (``-``) or of a pipe such as ``<(...)``, which can be read only once."""
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        if stat.S_ISFIFO(os.stat(path).st_mode):
            with open(path, "rb") as stream:
                return stream.read()
    except (OSError, ValueError):  # read_audio says what is wrong with the name
        return None
    return None
