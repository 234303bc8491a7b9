from __future__ import annotations

import numpy as np
import pytest

from asit.errors import AsitError
from asit.features.stats import Stats, compute
from asit.io.atomic import write_text
from asit.kaldi.ark import ArkWriter


def feature_dir(folder, matrices):
    with ArkWriter(folder / "a b.ark", folder / "feats.scp") as writer:
        for utt, matrix in matrices.items():
            writer.write(utt, matrix)
    return folder


def test_equals_numpy_in_float64(tmp_path):
    generator = np.random.default_rng(0)
    matrices = {f"u{i}": (generator.standard_normal((5 + 7 * i, 9)) * 4 - 6).astype(np.float32) for i in range(8)}
    stats = compute(feature_dir(tmp_path, matrices))
    values = np.concatenate([m.ravel() for m in matrices.values()]).astype(np.float64)
    assert stats.mean == pytest.approx(values.mean(), rel=1e-12)
    assert stats.std == pytest.approx(values.std(), rel=1e-12)
    assert stats.frames == sum(len(m) for m in matrices.values())
    normalised = stats.normalise(values)
    assert normalised.dtype == np.float32
    assert normalised.mean() == pytest.approx(0, abs=1e-6)
    assert normalised.std() == pytest.approx(0.5)


def test_saved_and_loaded_at_full_precision(tmp_path):
    stats = Stats(-4.267739312345678, 4.568997412345678, 7)
    stats.save(tmp_path / "stats.yaml")
    assert Stats.load(tmp_path / "stats.yaml") == stats


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mean: 1.0\nstd: 2.0\n", "expected mean, std and frames, found mean, std"),
        ("", "found nothing"),
        ("mean: 1.0\nstd: 0.0\nframes: 3\n", "std: expected a positive number, found 0.0"),
        ("mean: .nan\nstd: 1.0\nframes: 3\n", "mean: expected a number, found nan"),
        ("mean: a\nstd: 1.0\nframes: 3\n", "mean: expected a number, found 'a'"),
        ("mean: 1.0\nstd: 1.0\nframes: true\n", "frames: expected a positive number, found True"),
    ],
)
def test_malformed_files(tmp_path, text, message):
    (tmp_path / "stats.yaml").write_text(text)
    with pytest.raises(AsitError, match=message):
        Stats.load(tmp_path / "stats.yaml")


def test_bad_features_are_named(tmp_path):
    write_text(tmp_path / "t.ark", "u1  [\n 1 2\n 3 4 ]\nu2  [\n 1 nan\n 3 4 ]\n")
    write_text(tmp_path / "feats.scp", f"u1 {tmp_path}/t.ark:3\nu2 {tmp_path}/t.ark:20\n")
    with pytest.raises(AsitError, match=r"utterance 'u2'.* 1 of 4 .*NaN"):
        compute(tmp_path)
    feature_dir(tmp_path, {"a": np.ones((2, 3)), "b": np.ones((2, 4))})
    with pytest.raises(AsitError, match=r"utterance 'b': expected 3 bins .* found 4"):
        compute(tmp_path)
    feature_dir(tmp_path, {"a": np.ones((2, 3)), "b": np.ones((2, 3))})
    with pytest.raises(AsitError, match="all feature values are 1"):
        compute(tmp_path)
    write_text(tmp_path / "feats.scp", "a gone.ark:2\n")
    with pytest.raises(AsitError, match=r"feats\.scp: utterance 'a': 'gone\.ark:2': no such file"):
        compute(tmp_path)
