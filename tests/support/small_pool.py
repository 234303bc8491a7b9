"""A data directory of random features, as the features and stats stages leave it."""

from __future__ import annotations

import numpy as np
import yaml

from asit.config import to_dict
from asit.features.fbank import FbankSettings
from asit.features.stats import Stats
from asit.kaldi.ark import ArkWriter
from asit.kaldi.table import write_table


def make_pool(path, clips=24, mels=16, frames=(40, 90), seed=0, compression=0):
    random = np.random.default_rng(seed)
    lengths = {f"utt{i:0{max(3, len(str(clips - 1)))}d}": int(random.integers(*frames)) for i in range(clips)}
    path.mkdir(parents=True)
    with ArkWriter(path / "f.ark", path / "feats.scp", compression) as writer:
        for utt, length in lengths.items():
            writer.write(utt, (random.standard_normal((length, mels)) * 4 - 4).astype(np.float32))
    write_table(path / "utt2num_frames", {u: str(n) for u, n in lengths.items()})
    write_table(path / "utt2crc", {u: f"{n:08x}" for u, n in lengths.items()})
    (path / "conf").mkdir()
    (path / "conf/fbank.yaml").write_text(yaml.safe_dump(to_dict(FbankSettings(num_mel_bins=mels, sample_rate=8000))))
    Stats(-4.0, 4.0, sum(lengths.values())).save(path / "stats.yaml")
    return path
