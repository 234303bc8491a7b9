"""Which channel of a recording is heard: one of several, or their mean."""

from __future__ import annotations

import numpy as np

from asit.errors import AsitError

MIX = "mix"  # in place of a channel: the mean of all


def channel_of(word: str | None) -> int | str | None:
    """The option ``channel`` as :func:`asit.io.audio.read_audio` takes it.

    Raises:
        AsitError: neither a number, MIX, nor none.

    >>> channel_of("1"), channel_of("mix"), channel_of(None)
    (1, 'mix', None)
    """
    if word is None or word == MIX:
        return word
    if not word.isdecimal():
        raise AsitError(f"option 'channel': expected {MIX}, or a number from 0, found '{word}'")
    return int(word)


def one_channel(samples: np.ndarray, channel: int | str | None) -> np.ndarray:
    """(samples, channels) -> float32 (samples,): a channel, or with MIX the mean of all."""
    if channel == MIX:
        return samples.mean(axis=1, dtype=np.float32)
    return np.ascontiguousarray(samples[:, channel or 0])


def check_channel(where: str, channels: int, channel: int | str | None) -> None:
    """That a file of so many channels has this one.

    Raises:
        AsitError: naming ``where``: no such channel, or none is chosen and there are several.
    """
    if channel == MIX:
        return
    if channel is None and channels > 1:
        raise AsitError(
            f"{where}: expected one channel, found {channels}; choose one (--channel 0) or take their mean "
            "(--channel mix)"
        )
    if isinstance(channel, int) and not 0 <= channel < channels:
        raise AsitError(
            f"{where}: channel {channel} does not exist: the file has {channels}, counted from 0; choose another "
            "(--channel 0)"
        )
