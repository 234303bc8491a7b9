"""Mean and standard deviation of a corpus's features, over all frames and bins."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import asdict, dataclass

import numpy as np
import yaml
from tqdm import tqdm

from asit.config import read_yaml
from asit.errors import AsitError
from asit.io.atomic import write_text
from asit.kaldi.ark import read_matrix
from asit.kaldi.data_dir import DataDir


@dataclass(frozen=True)
class Stats:
    """Mean and standard deviation of all feature values, in log units, and the number of frames they come from."""

    mean: float
    std: float
    frames: int

    def normalise(self, feats: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """(x - mean) / (2·std), float32, as AST, SSAST and ASiT do; written to `out` where it is given.

        >>> Stats(mean=-4.0, std=4.0, frames=1).normalise(np.array([4.0, -4.0])).tolist()
        [1.0, 0.0]
        """
        out = np.subtract(feats, np.float32(self.mean), out=out, dtype=np.float32)
        return np.divide(out, np.float32(2 * self.std), out=out)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as YAML, at full precision."""
        write_text(path, yaml.safe_dump(asdict(self), sort_keys=False))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Stats:
        """Read what :meth:`save` wrote.

        Raises:
            AsitError: missing or malformed file, missing or unknown name, a standard deviation that is not positive.
        """
        path = os.fspath(path)
        values = {key: value for key, (value, _) in read_yaml(path).items()}
        if values.keys() != {"mean", "std", "frames"}:
            raise AsitError(
                f"{path}: expected mean, std and frames, found {', '.join(values) or 'nothing'}; asit-compute-stats "
                "writes this file"
            )
        for name, value in values.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if not number or (name != "mean" and value <= 0):
                kind = "a number" if name == "mean" else "a positive number"
                raise AsitError(f"{path}: {name}: expected {kind}, found {value!r}; run asit-compute-stats again")
        return cls(float(values["mean"]), float(values["std"]), int(values["frames"]))


def compute(data_dir: str | os.PathLike[str]) -> Stats:
    """Statistics of all features in ``feats.scp``, read one utterance at a time; sums in float64.

    Raises:
        AsitError: no or unreadable features, values that are NaN or infinite (the utterance is named), differing
            numbers of bins, or features that are all the same.
    """
    data = DataDir(os.fspath(data_dir))
    frames, count, total, squares, bins = 0, 0, 0.0, 0.0, 0
    for utt, spec in tqdm(data.feats.items(), unit="clip", disable=not sys.stderr.isatty()):
        try:
            feats = read_matrix(spec)
        except AsitError as error:
            raise AsitError(f"{data.file('feats.scp')}: utterance '{utt}': {error}") from None
        bad = feats.size - int(np.isfinite(feats).sum())
        if bad:
            raise AsitError(
                f"{data.file('feats.scp')}: utterance '{utt}': {bad} of {feats.size} feature values are NaN or "
                "infinite; extract the features again or remove the utterance"
            )
        bins = bins or feats.shape[1]
        if feats.shape[1] != bins:
            raise AsitError(
                f"{data.file('feats.scp')}: utterance '{utt}': expected {bins} bins as in the utterances before, found "
                f"{feats.shape[1]}; extract the features again"
            )
        values = feats.astype(np.float64).ravel()
        frames, count = frames + len(feats), count + values.size
        total += float(values.sum())
        squares += float(values @ values)
    mean = total / count
    variance = squares / count - mean**2
    if variance <= 1e-12 * max(1.0, mean**2):
        raise AsitError(f"{data.file('feats.scp')}: all feature values are {mean:g}; is the audio silent?")
    return Stats(mean, math.sqrt(variance), frames)
