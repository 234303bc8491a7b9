"""Which channel a recipe takes of several goes with its model: from the front end's settings to every use of it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from runs_helpers import FBANK, build_corpus
from small_models import make_classifier, make_square

import asit
from asit.config import from_dict, to_dict
from asit.errors import AsitError
from asit.features.collect import CollectSettings, collect
from asit.features.extract import ExtractSettings, extract
from asit.features.fbank import Fbank, FbankSettings
from asit.io.any_audio import Source
from asit.kaldi.ark import read_matrix
from asit.kaldi.data_dir import DataDir, write_data_dir
from asit.models import model_file
from asit.runs.finetune import finetune
from asit.runs.predict import Settings, predict
from asit.runs.recordings import RecordingSettings, heard

RATE = 16000
STEREO = np.random.default_rng(0).normal(size=(RATE, 2)).astype(np.float32) * [0.1, 0.02]


@pytest.fixture(scope="module")
def second(tmp_path_factory) -> str:
    """A classifier whose recipe took the second channel."""
    folder = tmp_path_factory.mktemp("a model")
    front_end = from_dict(FbankSettings, model_file.load_metadata("asit-tiny")["front_end"])
    backbone = make_square(folder / "b.safetensors", dataclasses.replace(front_end, channel="1"))
    return make_classifier(folder / "model.safetensors", backbone)


def test_a_model_hears_the_channel_of_its_recipe(second, tmp_path) -> None:
    model = asit.load(second)
    assert model.channel == 1
    soundfile.write(tmp_path / "a.wav", STEREO, RATE, subtype="FLOAT")
    for audio, rate in ((STEREO, RATE), (tmp_path / "a.wav", None)):
        vectors = {word: model.embed(audio, rate=rate, channel=word) for word in (None, 0, 1, "mix")}
        assert np.array_equal(vectors[None], vectors[1])
        assert not any(np.allclose(vectors[None], vectors[word]) for word in (0, "mix"))
    np.testing.assert_allclose(vectors[None], model.embed(STEREO[:, 1], rate=RATE), atol=1e-5)
    lines = {}
    for word in (None, "1", "mix"):
        chosen = RecordingSettings(channel=word)
        lines[word] = list(predict(Settings(model=second, wav=(str(tmp_path / "a.wav"),), recordings=chosen)))
    assert lines[None] == lines["1"] != lines["mix"]


def test_a_model_that_says_nothing_hears_the_mean(tmp_path) -> None:
    tiny = asit.load("asit-tiny")
    assert "channel" not in tiny.metadata["front_end"], "written before the option was"
    assert tiny.channel == "mix"
    assert np.array_equal(tiny.embed(STEREO, rate=RATE), tiny.embed(STEREO, rate=RATE, channel="mix"))


def test_the_channel_goes_from_extraction_into_the_data_directory(tmp_path) -> None:
    soundfile.write(tmp_path / "a.wav", STEREO, RATE, subtype="FLOAT")
    data = write_data_dir(tmp_path / "data", {"wav.scp": {"a": str(tmp_path / "a.wav")}, "utt2spk": {"a": "a"}})
    names = {"data_dir": data.path, "out_dir": str(tmp_path), "name": "raw"}
    for channel, expected in (("1", STEREO[:, 1]), ("mix", STEREO.mean(axis=1, dtype=np.float32))):
        extract(ExtractSettings(**names, fbank=FbankSettings(channel=channel)))
        collect(CollectSettings(**names))
        assert yaml.safe_load(Path(data.file("conf/fbank.yaml")).read_text())["channel"] == channel
        feats = read_matrix(DataDir(data.path).feats["a"])
        np.testing.assert_allclose(feats, Fbank()(expected.astype(np.float32), "a"), atol=1e-4)
    extract(ExtractSettings(**names, partial=True))
    assert "choose one (--channel 0)" in (tmp_path / "raw.failed_utts").read_text(), "nothing chosen: refused"
    assert "channel" not in (tmp_path / "raw.fbank.yaml").read_text(), "as files before the option was there"


def test_fine_tuning_stores_the_channel_of_its_own_features(tmp_path) -> None:
    """The backbone's corpus had one channel, this one has two: that is no other front end."""
    corpus = build_corpus(tmp_path)
    conf = yaml.safe_dump(to_dict(dataclasses.replace(FBANK, channel="1")))
    (tmp_path / "data/train/conf/fbank.yaml").write_text(conf)
    settings = corpus.finetune_settings(tmp_path / "run", valid_dir="")
    train = dataclasses.replace(settings.train, steps=3, warmup=1)
    finetune(dataclasses.replace(settings, train=train, init=str(tmp_path)))  # a folder stands for the file in it
    assert asit.load(tmp_path / "run").channel == 1


def test_a_channel_that_is_not_there(second, tmp_path) -> None:
    soundfile.write(tmp_path / "mono.wav", STEREO[:, 0], RATE)
    failed: list[str] = []
    source = Source("mono", str(tmp_path / "mono.wav"))
    told = r"channel 1 does not exist: the file has 1, counted from 0; choose another \(--channel 0\)$"
    with pytest.raises(AsitError, match=told):  # none of the recordings can be read
        list(heard([source], RecordingSettings(), asit.load(second), failed))
    assert len(list(heard([source], RecordingSettings(channel="0"), asit.load(second), failed))) == 1
    for word in ("left", "-1", "1.0"):
        with pytest.raises(AsitError, match=f"option 'channel': expected mix, or a number from 0, found '{word}'"):
            FbankSettings(channel=word)
