"""All randomness of a run is a pure function of its seed and of what it is used for.

No generator state is ever saved: whoever needs random numbers derives a seed from the run's seed, a word that
says what for, and the counters that tell this use from the others (step, rank, sample, epoch). A resumed run
therefore draws what an uninterrupted one would have, and the number of loader workers changes nothing.
"""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, purpose: str, *counters: int) -> int:
    """A non-negative 63-bit integer, independent for different arguments and the same on every machine.

    >>> derive(0, "step", 1) == derive(0, "step", 1) != derive(0, "step", 2)
    True
    """
    text = "/".join([str(seed), purpose, *map(str, counters)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def numpy_generator(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """A numpy generator seeded by :func:`derive`."""
    return np.random.Generator(np.random.PCG64(derive(seed, purpose, *counters)))
