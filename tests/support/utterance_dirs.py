"""A data directory of utterances with random features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml

from asit.config import to_dict
from asit.features.fbank import FbankSettings
from asit.kaldi.ark import ArkWriter
from asit.kaldi.data_dir import write_data_dir
from asit.kaldi.table import write_table

MELS = 8


def write_utterances(path: Path, listed: Mapping[str, object], frames: Mapping[str, int]) -> str:
    """utt2spk of all that are named, features of ``frames``, conf/fbank.yaml; not the targets of ``listed``."""
    write_data_dir(path, {"utt2spk": dict.fromkeys(sorted({*listed, *frames}), "s")})
    random = np.random.default_rng(0)
    with ArkWriter(path / "f.ark", path / "feats.scp") as writer:
        for utt, length in frames.items():
            writer.write(utt, random.standard_normal((length, MELS)).astype(np.float32))
    write_table(path / "utt2num_frames", {utt: str(length) for utt, length in frames.items()})
    (path / "conf").mkdir()
    (path / "conf/fbank.yaml").write_text(yaml.safe_dump(to_dict(FbankSettings(num_mel_bins=MELS))))
    return str(path)
