"""Mixtures of one to four classes of drum sounds: what is in each follows from a seed, and the sum of the parts."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from drum_recordings import FADE, Recording, cut

from asit.config import Options, option
from asit.errors import AsitError
from asit.kaldi.events import Event

AUDIBLE = -40.0  # dB below a part's peak down to which it is heard: tails of cymbals are long


@dataclass(frozen=True)
class MixSettings(Options):
    """The multi-label set."""

    mix_seconds: float = option(1.6, "length of a mixture", above=0)
    mix_most: int = option(4, "most classes in a mixture; 1 to this many are equally frequent", least=1)
    mix_heard: float = option(0.4, "least seconds of a part inside the mixture (all of it when it is shorter)", above=0)
    mix_softest: float = option(-26.0, "peak of the softest part in dB below full scale", most=0)
    mix_loudest: float = option(-6.0, "peak of the loudest part in dB below full scale", most=0)
    mix_seed: int = option(0, "what is mixed how follows from this, the set and the number of the mixture")


class Part(NamedTuple):
    """A recording in a mixture."""

    utt: str
    label: str
    offset: int  # samples
    level: float  # peak in dB below full scale

    def __str__(self) -> str:
        return f"{self.utt}@{self.offset}@{self.level:.2f}dB"


def plan(
    name: str, count: int, recordings: Sequence[Recording], lengths: Mapping[str, int], rate: int, settings: MixSettings
) -> dict[str, list[Part]]:
    """Parts of each of ``count`` mixtures, by id ``<name>-0000``; a mixture does not depend on ``count``.

    Classes are equally frequent, whatever their numbers of recordings, and within a class so are the kits.

    Raises:
        AsitError: fewer classes than a mixture may have, or no room for the parts.
    """
    by_class: dict[str, dict[str, list[Recording]]] = defaultdict(lambda: defaultdict(list))
    for recording in recordings:
        by_class[recording.label][recording.kit].append(recording)
    labels = sorted(by_class)
    if len(labels) < settings.mix_most:
        raise AsitError(f"{name}: expected recordings of at least {settings.mix_most} classes, found {len(labels)}")
    if settings.mix_softest > settings.mix_loudest:
        raise AsitError(f"--mix-softest {settings.mix_softest:g} is above --mix-loudest {settings.mix_loudest:g}")
    total, least = round(settings.mix_seconds * rate), round(settings.mix_heard * rate)
    if least > total:
        raise AsitError(f"--mix-heard {settings.mix_heard:g} is longer than --mix-seconds {settings.mix_seconds:g}")
    mixtures = {}
    for number in range(count):
        utt = f"{name}-{number:04d}"
        random = np.random.default_rng(_number(f"{settings.mix_seed} {utt}"))
        parts = []
        for label in sorted(random.choice(labels, size=int(random.integers(1, settings.mix_most + 1)), replace=False)):
            kits = by_class[str(label)]
            own = kits[sorted(kits)[random.integers(len(kits))]]
            chosen = own[random.integers(len(own))]
            offset = int(random.integers(total - min(lengths[chosen.utt], least) + 1))
            level = float(random.uniform(settings.mix_softest, settings.mix_loudest))
            parts.append(Part(chosen.utt, chosen.label, offset, level))
        mixtures[utt] = parts
    return mixtures


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def heard(wave: np.ndarray) -> tuple[int, int]:
    """First and end of the samples that are within AUDIBLE of the peak.

    >>> heard(np.array([0.0, 0.001, 0.5, -1.0, 0.02, 0.004, 0.0]))
    (2, 5)
    """
    loud = np.flatnonzero(np.abs(wave) >= 10 ** (AUDIBLE / 20) * np.abs(wave).max())
    return int(loud[0]), int(loud[-1]) + 1


def events(parts: Sequence[Part], waves: Mapping[str, np.ndarray], rate: int, seconds: float) -> list[Event]:
    """When each part is heard in the mixture of :func:`mix`."""
    found = []
    for part in parts:
        first, end = heard(_placed(part, waves, rate, seconds))
        found.append(Event((part.offset + first) / rate, (part.offset + end) / rate, part.label))
    return found


def mix(parts: Sequence[Part], waves: Mapping[str, np.ndarray], rate: int, seconds: float) -> np.ndarray:
    """The sum of the parts, float32 (n,); what reaches beyond the end is cut, and a sum above full scale lowered."""
    found = np.zeros(round(seconds * rate), dtype=np.float32)
    for part in parts:
        wave = _placed(part, waves, rate, seconds)
        found[part.offset : part.offset + len(wave)] += wave
    return found / max(1.0, float(np.abs(found).max()) / 0.99)


def _placed(part: Part, waves: Mapping[str, np.ndarray], rate: int, seconds: float) -> np.ndarray:
    """What of a part is in a mixture, from its offset on, float32 (n,)."""
    wave = waves[part.utt] * np.float32(10 ** (part.level / 20) / np.abs(waves[part.utt]).max())
    return cut(wave, round(seconds * rate) - part.offset, round(FADE * rate))
