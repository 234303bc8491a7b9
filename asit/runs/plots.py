"""Pictures of a recording as a model hears it: spectrogram, reconstruction, attention, classes over time.

T frames, F mel bins, N patches in time, H heads, C classes.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from asit.errors import AsitError, excerpt, nearest
from asit.features.picture import Axes, draw, new_figure
from asit.methods._pictures import reconstruction_figure
from asit.runs.reconstruct import reconstruct
from asit.runs.windows import window_starts

if TYPE_CHECKING:
    from asit.runs.model import Model

MOST_SECONDS = 30.0  # of a recording in a picture; of more, nothing could be told apart
MOST_CLASSES = 12
PLAIN = {"parse_math": False}  # in a name, $ is a dollar sign
WIDTH = 10.0  # inches


def figure_of(model: Model, feats: np.ndarray, what: str, name: str, **options: int) -> Any:
    """The matplotlib figure ``what`` of log-mel features (T, F), of the first ``MOST_SECONDS`` of them.

    Args:
        name: of the recording, for the title.

    Raises:
        AsitError: no such picture, an option that it does not have, or see the pictures.
    """
    if what not in KINDS:
        raise AsitError(f"what: no picture '{excerpt(what)}': {nearest(what, KINDS)}")
    draw_it = KINDS[what]
    known = list(inspect.signature(draw_it).parameters)[3:]
    for option in options:
        if option not in known:
            raise AsitError(f"{what} has no option '{option}': {nearest(option, known)}")
    shift = model.fbank.settings.frame_shift / 1000
    shown = feats[: round(MOST_SECONDS / shift)]
    title = f"{what} of {excerpt(os.path.basename(name), 60)}"
    if len(shown) < len(feats):
        title += f", the first {MOST_SECONDS:g} of {len(feats) * shift:.1f} s"
    return draw_it(model, shown, title, **options)


def spectrogram(model: Model, feats: np.ndarray, title: str) -> Any:
    """Log-mel features, not normalised."""
    figure = new_figure(WIDTH, 3.6)
    place = figure.add_subplot()
    _spectrogram(figure, place, model, feats)
    place.set_xlabel("seconds")
    place.set_title(title, **PLAIN)
    return figure


def reconstruction(model: Model, feats: np.ndarray, title: str, seed: int = 0) -> Any:
    """Clean, corrupted as in pretraining, and what the network makes of it; errors as :func:`reconstruct`."""
    found = reconstruct(model, feats, seed)
    clean, corrupted, mask, output = found
    figure = reconstruction_figure(clean, corrupted, mask, output, _axes(model, feats))
    figure.suptitle(f"{title}: mean absolute error in the holes {found.error:.3f}", **PLAIN)
    return figure


def attention(model: Model, feats: np.ndarray, title: str, layer: int = -1) -> Any:
    """Where each head of a block looks from the class token: the darker, the more."""
    weights, _ = model.attention_of_features(feats, layer)  # (N, bands, H)
    rows, bands, heads = weights.shape
    axes, stride = _axes(model, feats), model.backbone.patch_embed.stride[0]
    end = rows * stride * axes.frame_shift
    panels = 1 if bands == 1 else heads
    figure = new_figure(WIDTH, 3.0 + (0.3 * heads + 0.8 if bands == 1 else 1.1 * heads))
    grid = figure.subplots(
        1 + panels, 1, sharex=True, height_ratios=[3.0, *([0.3 * heads + 0.5] if bands == 1 else [1.1] * heads)]
    )
    _spectrogram(figure, grid[0], model, feats)
    style: dict[str, Any] = {"aspect": "auto", "cmap": "Blues", "vmin": 0.0, "vmax": float(weights.max())}
    if bands == 1:
        image = grid[1].imshow(weights[:, 0].T, extent=(0.0, end, heads - 0.5, -0.5), interpolation="none", **style)
        grid[1].set_yticks(range(heads), [f"head {number}" for number in range(1, heads + 1)])
    else:
        for head, place in enumerate(grid[1:]):
            shown = weights[:, :, head].T
            image = place.imshow(
                shown, origin="lower", extent=(0.0, end, -0.5, feats.shape[1] - 0.5), interpolation="none", **style
            )
            place.set_yticks([])
            place.set_ylabel(f"head {head + 1}")
    figure.colorbar(image, ax=list(grid[1:]), label="attention", pad=0.01)
    grid[0].set_xlim(0.0, len(feats) * axes.frame_shift)
    grid[-1].set_xlabel("seconds")
    block = layer + (model.num_layers + 1) * (layer < 0)
    grid[0].set_title(f"{title}, block {block} of {model.num_layers}", **PLAIN)
    return figure


def classes(model: Model, feats: np.ndarray, title: str) -> Any:
    """Probabilities over time, of windows as long as the training's crops that overlap by three quarters.

    Raises:
        AsitError: a backbone, which has no classes.
    """
    if not model.labels:
        model.classify_features([])  # says what a backbone is for
    axes = _axes(model, feats)
    starts = window_starts(len(feats), model.frames, 0.75)
    found = [dict(row) for row in model.classify_features(feats[a : a + model.frames] for a in starts)]
    scores = np.array([[row[label] for label in model.labels] for row in found])  # (windows, C)
    best = np.argsort(-scores.max(axis=0), kind="stable")[:MOST_CLASSES]
    best = best[np.argsort(scores[:, best].argmax(axis=0), kind="stable")]  # in the order in which they are heard
    middles = (np.array(starts) + min(model.frames, len(feats)) / 2) * axes.frame_shift
    edges = np.concatenate([[0.0], (middles[1:] + middles[:-1]) / 2, [len(feats) * axes.frame_shift]])
    figure = new_figure(WIDTH, 3.4 + 0.28 * len(best))
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=[3.0, 0.3 + 0.28 * len(best)])
    _spectrogram(figure, top, model, feats)
    image = below.pcolormesh(edges, np.arange(len(best) + 1) - 0.5, scores[:, best].T, cmap="Blues", vmin=0.0, vmax=1.0)
    below.set_yticks(range(len(best)), [excerpt(model.labels[i], 24) for i in best], **PLAIN)
    below.invert_yaxis()
    figure.colorbar(image, ax=below, label="probability", pad=0.01)
    below.set_xlabel(f"seconds, the middle of windows of {model.frames * axes.frame_shift:.2g} s")
    top.set_title(title, **PLAIN)
    return figure


KINDS: dict[str, Callable[..., Any]] = {f.__name__: f for f in (spectrogram, reconstruction, attention, classes)}


def _axes(model: Model, feats: np.ndarray) -> Axes:
    return Axes.of(model.fbank.settings, feats.shape[1])


def _spectrogram(figure: Any, place: Any, model: Model, feats: np.ndarray) -> None:
    axes = _axes(model, feats)
    image = draw(place, feats, axes)
    place.set_ylabel(axes.frequency_label)
    figure.colorbar(image, ax=place, label="log energy", pad=0.01)
