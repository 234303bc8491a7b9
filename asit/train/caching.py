"""Whether a run keeps its features in memory, and one memory for all its processes of a machine."""

from __future__ import annotations

import logging
import secrets

from asit.data.cache import FrameCache, room, size_of
from asit.data.dataset import FeatureDataset
from asit.errors import AsitError
from asit.train import distributed

log = logging.getLogger(__name__)
CHOICES = ("auto", "memory", "none")
SHARE = 0.5  # of the free memory that "auto" takes at most; the model needs some, too


def share_memory(features: FeatureDataset, choice: str) -> None:
    """Give ``features`` a cache that the processes of this machine share; all ranks call it.

    "auto" does it for archives whose rows are slow to reach (:attr:`FeatureDataset.slow`) where half of the free
    memory holds them. Other archives are served by the system's page cache as fast as the training needs.

    Raises:
        AsitError: "memory" is chosen and there is not enough of it on some machine.
    """
    if choice == "none":
        return
    wanted = size_of(features.num_frames, features.num_mels)
    if choice == "auto":
        fits, slow = wanted <= SHARE * room(), features.slow
        if distributed.any_rank(not fits or not slow)[0]:
            if slow:
                log.info("%s: %.1f GiB do not fit into half of the free memory: read from its archives each time",
                         features.path, wanted / 2**30)  # fmt: skip
            return
    # A name for each run: what another left behind, or holds at the same time, is never taken for this one's.
    name = distributed.from_main(f"asit-{secrets.token_hex(8)}")
    cache, problem = None, ""
    try:
        cache = FrameCache(features.num_frames, features.num_mels, name)
    except AsitError as error:
        problem = str(error)
    failed = distributed.any_rank(bool(problem))[0]  # and all have it: the name may go
    if cache is not None:
        cache.forget_name()
    if failed:
        raise AsitError(problem or f"{features.path}: no shared memory on another machine of this run")
    features.cache = cache
    log.info("%s: kept in shared memory once read, %.2f GiB", features.path, wanted / 2**30)
