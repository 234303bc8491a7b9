"""Features of a data directory, read a few rows at a time. Letters: T frames, F mel bins."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from asit.config import load, to_dict
from asit.errors import AsitError
from asit.features.fbank import FbankSettings
from asit.features.stats import Stats
from asit.kaldi.ark import read_rows
from asit.kaldi.strings import Strings, positive_integers, read_columns
from asit.kaldi.table import read_table


class FeatureDataset:
    """A data directory with features: ``feats.scp``, ``utt2num_frames``, ``conf/fbank.yaml``, ``stats.yaml``.

    ``stats``: use these instead of the directory's own (fine-tuning with a pretrained front end).

    Attributes: ``utts``, ``num_frames`` int64 (clips,), ``num_mels`` F, ``stats``, ``front_end``.

    Raises:
        AsitError: a file is missing (the message names the command that makes it), or the tables disagree.
    """

    def __init__(self, data_dir: str | os.PathLike[str], stats: Stats | None = None) -> None:
        self.path = Path(data_dir)
        if not self.path.is_dir():
            raise AsitError(f"{self.path}: no such data directory; prepare it first (stage data)")
        feats = read_columns(self._file("feats.scp", "asit-make-fbank (stage features)"))
        lengths = self._file("utt2num_frames", "asit-make-fbank (stage features)")
        frames = read_columns(lengths)
        if not feats.keys.equals(frames.keys):
            odd = next(iter(set(feats.keys) ^ set(frames.keys)))
            raise AsitError(
                f"{self.path}: utterance {odd} is not in both feats.scp and utt2num_frames; extract the features again "
                "(stage features)"
            )
        self.utts, self._specs = feats
        self.num_frames = positive_integers(str(lengths), frames, "frames")
        self._checksums = self._read_checksums()
        front_end = self._file("conf/fbank.yaml", "asit-make-fbank (stage features)")
        self.front_end = load(FbankSettings, front_end)
        self.stats = stats or Stats.load(self._file("stats.yaml", "asit-compute-stats (stage stats)"))
        self.num_mels = self.front_end.num_mel_bins + int(self.front_end.use_energy)

    def __len__(self) -> int:
        return len(self.utts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``{"utt": str, "feats": float32 (T, F)}``: a whole clip, normalised."""
        return {"utt": self.utts[index], "feats": self.normalise(self.read(index))}

    def read(self, index: int, first: int = 0, last: int | None = None) -> np.ndarray:
        """Rows [first, last) of a clip as stored, float32 (last - first, F).

        Raises:
            AsitError: names the utterance: unreadable, of another shape than the tables say, or not finite.
        """
        last = int(self.num_frames[index]) if last is None else last
        try:
            rows = read_rows(self._specs[index], first, last)
        except AsitError as error:
            raise AsitError(f"utterance {self.utts[index]}: {error}") from None
        if rows.shape != (last - first, self.num_mels):
            raise AsitError(
                f"utterance {self.utts[index]}: expected {last - first} frames of {self.num_mels} bins from "
                f"{self._specs[index]}, found {rows.shape}; extract the features again (stage features)"
            )
        if not np.isfinite(rows).all():
            raise AsitError(
                f"utterance {self.utts[index]}: features hold NaN or infinite values ({self._specs[index]}); "
                "look at its audio and extract the features again, or take it out of utt2spk and run "
                "asit-fix-data-dir"
            )
        return rows

    def normalise(self, feats: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """(x - mean) / (2 std), float32, as SSAST and ASiT do; written to `out` where it is given."""
        out = np.subtract(feats, np.float32(self.stats.mean), out=out, dtype=np.float32)
        return np.divide(out, np.float32(2 * self.stats.std), out=out)

    @property
    def silence(self) -> float:
        """Normalised value that pads short clips (:attr:`asit.features.fbank.FbankSettings.silence`)."""
        return (self.front_end.silence - self.stats.mean) / (2 * self.stats.std)

    @property
    def hours(self) -> float:
        """Duration of all clips by their frames."""
        return float(self.num_frames.sum()) * self.front_end.frame_shift / 3.6e6

    def labels(self) -> list[str]:
        """Class names in index order, from ``labels.txt``.

        Raises:
            AsitError: missing file, or indices that are not 0, 1, 2, ...
        """
        path = self._file("labels.txt", "the recipe's data stage")
        table = read_table(path, check_order=False)
        if sorted(table.values()) != sorted(map(str, range(len(table)))):
            raise AsitError(f"{path}: expected 'label index' lines with the indices 0 to {len(table) - 1}, each once")
        return sorted(table, key=lambda name: int(table[name]))

    def label_strings(self) -> list[str]:
        """The value of ``utt2label`` (labels separated by commas) of every clip, in order.

        Raises:
            AsitError: missing file or utterance.
        """
        path = self._file("utt2label", "the recipe's data stage")
        table = read_table(path)
        for utt in self.utts:
            if utt not in table:
                raise AsitError(f"{path}: utterance {utt} of feats.scp has no label; add its line")
        return [table[utt] for utt in self.utts]

    def digest(self) -> str:
        """Hash of what a run's order and values depend on: ids, frame counts, front end, mean and std, and the features
        themselves where ``utt2crc`` tells them apart."""
        digest = hashlib.sha256()
        for piece in self.utts.chunks(b"\n"):
            digest.update(piece)
        digest.update(self.num_frames.tobytes())
        if self._checksums is not None:
            for piece in self._checksums.chunks(b"\n"):
                digest.update(piece)
        digest.update(json.dumps([self.stats.mean, self.stats.std, to_dict(self.front_end)]).encode())
        return digest.hexdigest()[:16]

    def _read_checksums(self) -> Strings | None:
        """``utt2crc`` in the order of ``utts``; None where there is none (features of another toolkit)."""
        path = self.path / "utt2crc"
        if not path.exists():
            return None
        table = read_columns(path)
        if not table.keys.equals(self.utts):
            raise AsitError(
                f"{path}: its utterances are not those of feats.scp; make the features again (stage features) or "
                "remove the file"
            )
        return table.values

    def _file(self, name: str, maker: str) -> Path:
        path = self.path / name
        if not path.exists():
            raise AsitError(f"{path}: no such file; make it with {maker}")
        return path
