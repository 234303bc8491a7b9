"""Features extracted once and shared: tables of a data directory's utterances from those of a larger one."""

from __future__ import annotations

import os
from dataclasses import dataclass

from asit.config import REQUIRED, Options, option
from asit.errors import AsitError
from asit.io.atomic import remove, write_text
from asit.kaldi.data_dir import DataDir
from asit.kaldi.data_dir_validate import Checks, validate
from asit.kaldi.table import read_text, write_table

TABLES = ("utt2num_frames", "utt2dur", "utt2crc", "feats.scp")  # feats.scp last: its presence says that all are there
FILES = ("frame_shift", os.path.join("conf", "fbank.yaml"))


@dataclass(frozen=True)
class SelectSettings(Options):
    """Give data directories the features that another directory has for their utterances."""

    from_dir: str = option(REQUIRED, "data directory with features of all the utterances")
    data_dirs: tuple[str, ...] = option(REQUIRED, "data directories that get their share")


def select(from_dir: str, data_dir: str) -> int:
    """Write feats.scp, utt2num_frames, utt2dur, frame_shift and conf/fbank.yaml; returns the number of utterances.

    What Kaldi recipes do with ``filter_scp.pl data/x/utt2spk data/all/feats.scp``, and then validated.

    Raises:
        AsitError: an utterance without features in ``from_dir``, or a directory that does not validate.
    """
    source, target = DataDir(from_dir), DataDir(data_dir)
    utts = target.utt2spk
    remove(target.file("feats.scp"))
    for name in TABLES:
        if name == "utt2crc" and not source.has(name):  # features of another toolkit
            remove(target.file(name))
            continue
        table = source.table(name)
        missing = [utt for utt in utts if utt not in table]
        if missing:
            raise AsitError(
                f"{source.file(name)}: no entry for {len(missing)} of the {len(utts)} utterances of {data_dir}, "
                f"such as '{missing[0]}'; make features for them first"
            )
        write_table(target.file(name), {utt: table[utt] for utt in utts})
    for name in FILES:
        write_text(target.file(name), read_text(source.file(name)))
    validate(target.path, Checks(require_feats=True, spk_sort=False, allow_pipes=True))
    return len(utts)
