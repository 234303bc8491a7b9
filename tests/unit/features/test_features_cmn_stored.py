"""Mean normalisation as a part of the front end: stored with features and models, the same at inference."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from asit.config import from_dict, load, to_dict
from asit.data.features import Features
from asit.errors import AsitError
from asit.features import fbank
from asit.features.collect import CollectSettings, collect
from asit.features.extract import ExtractSettings, extract
from asit.features.fbank import Fbank, FbankSettings
from asit.features.stats import Stats
from asit.features.stats import compute as compute_stats
from asit.io.any_audio import waveform
from asit.kaldi.ark import read_matrix
from asit.kaldi.data_dir import DataDir, write_data_dir
from asit.kaldi.table import read_table
from asit.models.trained import FrontEnd, check_front_end

PLAIN = FbankSettings(num_mel_bins=40)
CMN = dataclasses.replace(PLAIN, cmn_window=600)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Noise that grows."""
    wave = np.random.default_rng(seed).standard_normal(samples) * np.linspace(0.01, 0.3, samples)
    return wave.astype(np.float32)


def write_corpus(folder: Path, settings: FbankSettings) -> tuple[DataDir, dict[str, str]]:
    """Features and statistics of three clips, made as the commands make them; the paths of the clips."""
    paths = {f"s-{i}": str(folder / f"{i}.wav") for i in range(3)}
    for i, path in enumerate(paths.values()):
        soundfile.write(path, noise(6000 + 1600 * i, i), 16000, "FLOAT")
    data = write_data_dir(folder / "data", {"wav.scp": paths, "utt2spk": dict.fromkeys(paths, "s")})
    extract(ExtractSettings(data_dir=data.path, out_dir=str(folder), name="raw", fbank=settings))
    collect(CollectSettings(data_dir=data.path, out_dir=str(folder), name="raw"))
    compute_stats(data.path).save(folder / "data" / "stats.yaml")
    return data, paths


def test_off_takes_no_pass_over_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Fbank(PLAIN)(noise(8000))
    monkeypatch.setattr(fbank, "subtract_mean", None)
    assert np.array_equal(Fbank(dataclasses.replace(PLAIN, cmn_floor=-5.0))(noise(8000)), before)


@pytest.mark.parametrize("window", [600, 20])
def test_inference_sees_what_was_extracted(tmp_path: Path, window: int) -> None:
    """From conf/fbank.yaml into a model's file and back to a wav, whole clip or sliding: the same values."""
    data, paths = write_corpus(tmp_path, dataclasses.replace(CMN, cmn_window=window))
    stored = load(FbankSettings, f"{data.path}/conf/fbank.yaml")
    assert (stored.cmn_window, stored.cmn_floor) == (window, -13.0)
    of_model = Fbank(from_dict(FbankSettings, yaml.safe_load(yaml.safe_dump(to_dict(stored)))))
    for utt, spec in read_table(data.file("feats.scp")).items():
        assert np.array_equal(of_model(waveform(paths[utt], stored.sample_rate)), read_matrix(spec))


def test_padding_is_what_the_front_end_makes_of_silence(tmp_path: Path) -> None:
    write_corpus(tmp_path, CMN)
    pool = Features(tmp_path / "data")
    assert abs(pool.stats.mean) < 1e-5
    assert pool.silence == pytest.approx(0, abs=1e-5)
    for chosen in (PLAIN, CMN):
        silent = Fbank(chosen)(np.zeros(4000, np.float32))
        front_end = FrontEnd(chosen, Stats(-4.0, 2.0, 1))
        assert front_end.silence == pytest.approx(front_end.normalise(silent).min())
        assert front_end.silence == pytest.approx(front_end.normalise(silent).max())


def test_another_normalisation_is_refused_and_none_is_what_was_before_the_option(tmp_path: Path) -> None:
    data, _ = write_corpus(tmp_path, PLAIN)
    with pytest.raises(AsitError, match=r"'cmn_window'.* expected 600, found 0"):
        check_front_end(FrontEnd(CMN, Stats(0, 1, 1)), data.path, "model")
    older = {name: value for name, value in to_dict(PLAIN).items() if not name.startswith("cmn")}
    (tmp_path / "data/conf/fbank.yaml").write_text(yaml.safe_dump(older))
    check_front_end(FrontEnd(from_dict(FbankSettings, older), Stats(0, 1, 1)), data.path, "model")


def test_only_logarithms_have_a_channel_that_adds() -> None:
    with pytest.raises(AsitError, match="'cmn_window': expected 0 where use_log_fbank is false, found 600"):
        FbankSettings(cmn_window=600, use_log_fbank=False)
