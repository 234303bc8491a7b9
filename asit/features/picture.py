"""Log-mel features as pictures: seconds to the right, Hz upwards."""

from __future__ import annotations

import base64
import io
import os
from typing import Any, NamedTuple

import numpy as np

from asit.features.fbank import FbankSettings
from asit.features.mel import mel_centres
from asit.io.atomic import atomic_open

HERTZ = (200, 500, 1000, 2000, 4000, 8000, 16000)  # labelled, as far as the features reach


class Axes(NamedTuple):
    """What frames and bins are, for a picture's axes."""

    frame_shift: float = 1.0  # seconds from frame to frame
    hertz: np.ndarray | None = None  # (F,), centre of each mel filter; None counts bins

    @classmethod
    def of(cls, front_end: FbankSettings, bins: int) -> Axes:
        """Of features that a front end makes; those with further columns count bins."""
        hertz = mel_centres(front_end.num_mel_bins, front_end.low_freq, front_end.high_edge)
        return cls(front_end.frame_shift / 1000, hertz if bins == len(hertz) else None)

    @property
    def time_label(self) -> str:
        """What the axis to the right counts."""
        return "frames" if self.frame_shift == 1 else "seconds"

    @property
    def frequency_label(self) -> str:
        """What the axis upwards counts."""
        return "mel bin" if self.hertz is None else "Hz"


def new_figure(width: float, height: float, dpi: float = 120) -> Any:
    """An empty matplotlib figure of so many inches that needs no display and belongs to no global list."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def pixels(figure: Any) -> np.ndarray:
    """A figure as uint8 (H, W, 3)."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def png(figure: Any) -> bytes:
    """A figure as the content of a PNG file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def data_uri(image: bytes) -> str:
    """A PNG as an address that holds it, for pages of one file."""
    return "data:image/png;base64," + base64.b64encode(image).decode("ascii")


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """A figure as a PNG, whole or not at all."""
    with atomic_open(path, "wb") as stream:
        figure.savefig(stream, format="png")


def colour(number: int, of: int) -> Any:
    """The colour of a label, so that twenty at most can be told apart."""
    from matplotlib import colormaps

    return f"C{number}" if of <= 10 else colormaps["tab20"](number % 20)


def draw(place: Any, values: np.ndarray, axes: Axes, limits: tuple[float, float] | None = None) -> Any:
    """Features (T, F) on matplotlib axes with their seconds and Hz; the image, of which a colour bar can be made."""
    frames, bins = values.shape
    low, high = limits or (None, None)
    extent = (0.0, frames * axes.frame_shift, -0.5, bins - 0.5)
    image = place.imshow(
        values.T, origin="lower", aspect="auto", extent=extent, vmin=low, vmax=high, cmap="magma", interpolation="none"
    )
    if axes.hertz is not None:
        shown = [hz for hz in HERTZ if axes.hertz[0] <= hz <= axes.hertz[-1]]
        place.set_yticks(np.interp(shown, axes.hertz, np.arange(bins)), [str(hz) for hz in shown])
    return image
