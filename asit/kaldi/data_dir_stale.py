"""What a data directory holds from before and what no longer fits when its tables are written again.

A feats.scp beside a newer wav.scp would train on recordings that are not listed any more, and hide those that are new.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from asit.errors import AsitError
from asit.kaldi.table import read_table

logger = logging.getLogger(__name__)

BACKUP = ".backup"
OF_FEATURES = ("failed_utts", "frame_shift", os.path.join("conf", "fbank.yaml"))  # they go where feats.scp goes
STATS = "stats.yaml"  # mean and standard deviation of exactly these utterances


def stale(path: str, kinds: Mapping[str, str], tables: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Files of the directory `path` that are not among the new `tables` and do not fit them, feats.scp first.

    A table stays if it has the same ids and the recordings are the same ones: equal wav.scp and segments.

    Args:
        kinds: name -> "utt", "spk" or "reco" of the tables that are there, as ``DataDir.tables`` gives them.
        tables: what is to be written; it has utt2spk.
    """
    if "utt2spk" not in kinds:
        return []
    speakers = tables["utt2spk"]
    segments = tables.get("segments")
    recordings = {value.split(None, 1)[0] for value in segments.values()} if segments else speakers.keys()
    before = _old(path, "utt2spk")
    moved = before is None or before.keys() != speakers.keys()
    for name in ("wav.scp", "segments"):
        moved |= name in tables and name in kinds and _old(path, name) != tables[name]
    moved |= "wav.scp" in tables and ("segments" in tables) != ("segments" in kinds)
    ids = {"utt": speakers.keys(), "spk": set(speakers.values()), "reco": recordings}
    found = []
    for name, kind in kinds.items():
        if name in tables:
            continue
        old = None if moved or (name == "cmvn.scp" and before != speakers) else _old(path, name)
        if old is None or old.keys() != ids[kind]:
            found.append(name)
    if moved:
        found += [name for name in (STATS, *(OF_FEATURES if "feats.scp" not in tables else ())) if _there(path, name)]
    return sorted(found, key=lambda name: name != "feats.scp")


def put_aside(path: str, names: list[str]) -> None:
    """Move files of a data directory to its ``.backup``, in place of older ones there, and say so."""
    for name in names:
        target = os.path.join(path, BACKUP, name)
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.replace(os.path.join(path, name), target)
        except OSError as error:
            raise AsitError(f"{target}: cannot put {name} aside: {error.strerror}; check the path") from None
    if names:
        logger.warning(
            "%s: other recordings than before: %s no longer fit%s and are now in %s; extract the features again (stage "
            "features) where they are wanted",
            path,
            ", ".join(names),
            "s" * (len(names) == 1),
            os.path.join(path, BACKUP),
        )


def _there(path: str, name: str) -> bool:
    return os.path.isfile(os.path.join(path, name))


def _old(path: str, name: str) -> dict[str, str] | None:
    """A table as it is, None if it cannot be read: then it does not fit either."""
    try:
        return read_table(os.path.join(path, name), check_order=False, empty_values=True)
    except AsitError:
        return None
