"""Features of a data directory, read a few rows at a time. Letters: T frames, F mel bins."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from asit.config import load
from asit.errors import AsitError
from asit.features.fbank import FbankSettings
from asit.features.stats import Stats
from asit.kaldi.ark import read_rows
from asit.kaldi.strings import Strings
from asit.kaldi.table import positive_integers, read_columns

Piece = tuple[int, int]  # rows [first, last) of a clip


class Features:
    """The features of a data directory: ``feats.scp``, ``utt2num_frames``, ``conf/fbank.yaml``, ``stats.yaml``.

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
        self.num_mels = self.front_end.dim

    def __len__(self) -> int:
        return len(self.utts)

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

    def read_pieces(self, index: int, pieces: list[Piece]) -> list[np.ndarray]:
        """The pieces' rows. Near pieces are read as one; far ones, of long recordings, each for itself."""
        first, last = min(a for a, _ in pieces), max(b for _, b in pieces)
        if last - first <= 2 * sum(b - a for a, b in pieces):
            span = self.read(index, first, last)
            return [span[a - first : b - first] for a, b in pieces]
        return [self.read(index, a, b) for a, b in pieces]

    @property
    def silence(self) -> float:
        """Normalised value that pads short clips (:attr:`asit.features.fbank.FbankSettings.silence`)."""
        return (self.front_end.silence - self.stats.mean) / (2 * self.stats.std)

    @property
    def hours(self) -> float:
        """Duration of all clips by their frames."""
        return float(self.num_frames.sum()) * self.front_end.frame_shift / 3.6e6

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
        digest.update(json.dumps([self.stats.mean, self.stats.std, self.front_end.of_one_channel]).encode())
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
