"""A trained model for any audio: asit.load and what it returns."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from small_models import LABELS, make_classifier, make_detector, make_recogniser, make_square

import asit
from asit.features.fbank import Fbank, FbankSettings
from asit.runs.embedder import Embedder, EmbedderSettings
from asit.runs.info import description

RATE = 16000


def noise(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Noise whose loudness changes, so that no two stretches are alike."""
    random = np.random.default_rng(seed)
    wave = random.normal(size=round(seconds * rate)) * 0.1
    return (wave * (1 + np.sin(np.arange(len(wave)) / rate * 7))).astype(np.float32)


@pytest.fixture(scope="module")
def tiny() -> asit.Model:
    return asit.load("asit-tiny")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> asit.Model:
    return asit.load(make_classifier(tmp_path_factory.mktemp("my model") / "model.safetensors"))


@pytest.fixture(scope="module")
def square(tmp_path_factory) -> asit.Model:
    return asit.load(make_square(tmp_path_factory.mktemp("square") / "backbone.safetensors"))


def test_importing_asit_leaves_torch_alone() -> None:
    code = "import asit, sys; assert 'torch' not in sys.modules; asit.load; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = asit.nothing_such


def test_clips_of_different_lengths_give_what_each_gives_alone(tiny, classifier) -> None:
    waves = [noise(seconds, seed) for seed, seconds in enumerate((0.2, 3.0, 0.64, 1.1))]
    for model in (tiny, classifier):
        together = model.embed(waves, rate=RATE)
        for wave, found in zip(waves, together, strict=True):
            np.testing.assert_allclose(found, model.embed(wave, rate=RATE), atol=2e-5)
    assert together[0].shape == (2 * 192,), "two stretches side by side"
    for wave, found in zip(waves, classifier.classify(waves, rate=RATE), strict=True):
        assert [name for name, _ in found] == [name for name, _ in classifier.classify(wave, rate=RATE)]


def test_clip_embeddings_are_those_of_the_command(tiny) -> None:
    feats = Fbank(FbankSettings(num_mel_bins=64, cmn_window=600))(noise(2.0))
    expected = Embedder("asit-tiny", EmbedderSettings(ngpu=0)).vectors([feats])[0]
    assert np.array_equal(tiny.embed(noise(2.0), rate=RATE), expected)


def test_audio_in_any_form_is_the_same_audio(tiny, tmp_path) -> None:
    wave = noise(1.0)
    whole = np.round(wave * 32767).astype(np.int16)
    expected = tiny.embed(whole, rate=RATE)
    soundfile.write(tmp_path / "a b.wav", whole, RATE)
    both = np.stack([whole, whole])
    for audio in (tmp_path / "a b.wav", str(tmp_path / "a b.wav")):
        np.testing.assert_allclose(tiny.embed(audio), expected, atol=1e-5)
    for numbers in (whole / 32768, torch.from_numpy(whole), both, both.T, whole.astype(np.int32) * 65536):
        np.testing.assert_allclose(tiny.embed(numbers, rate=RATE), expected, atol=1e-4)
    coarse = torch.from_numpy(wave).bfloat16()
    assert np.array_equal(tiny.embed(coarse, rate=RATE), tiny.embed(coarse.float().numpy(), rate=RATE))
    other = np.stack([whole, np.zeros_like(whole)])
    np.testing.assert_allclose(tiny.embed(other, rate=RATE, channel=0), expected, atol=1e-5)
    louder = (other.astype(np.float32) / 32768).mean(0)
    np.testing.assert_allclose(tiny.embed(other, rate=RATE), tiny.embed(louder, rate=RATE), atol=1e-5)
    eight_bits = (np.round(wave * 127) + 128).astype(np.uint8)
    centred = tiny.embed((eight_bits.astype(np.float32) - 128) / 128, rate=RATE)
    np.testing.assert_allclose(tiny.embed(eight_bits, rate=RATE), centred, atol=1e-5)


def test_an_array_of_another_rate_is_converted_as_a_file_is(tiny, tmp_path) -> None:
    wave = noise(1.0, rate=44100)
    soundfile.write(tmp_path / "a.wav", wave, 44100, subtype="FLOAT")
    np.testing.assert_allclose(tiny.embed(wave, rate=44100), tiny.embed(tmp_path / "a.wav"), atol=1e-5)


@pytest.mark.parametrize(
    ("audio", "rate", "expected"),
    [
        (np.zeros(RATE), None, "give rate="),
        (np.zeros(0), RATE, "holds no samples"),
        (np.full(RATE, np.nan), RATE, "16000 of 16000 samples of the array are NaN"),
        (np.zeros((2, 3, 4)), RATE, r"found ndarray of shape \(2, 3, 4\)"),
        (np.zeros(RATE), 0, "expected samples a second"),
        (np.zeros(RATE), str(RATE), "expected samples a second, such as 16000, found '16000'"),
        (np.zeros(RATE), float("nan"), "expected samples a second"),
        (np.zeros(3), RATE, "expected at least 400 samples"),
        ("nothing.wav", None, "nothing.wav: no such file"),
        ("nothing.wav", RATE, "a file knows its own"),
    ],
)
def test_what_is_refused(tiny, audio, rate, expected) -> None:
    with pytest.raises(asit.AsitError, match=expected):
        tiny.embed(audio, rate=rate)


@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        ("embed", {"channel": "left"}, "channel': expected mix, or a number from 0, found 'left'"),
        ("embed", {"channel": -1}, "channel': expected mix, or a number from 0, found '-1'"),
        ("segments", {"seconds": math.inf}, "seconds: expected"),
        ("segments", {"seconds": math.nan}, "seconds: expected"),
        ("segments", {"top_k": -1}, "top_k: expected at least 1, found -1"),
        ("classify", {"top_k": 0}, "top_k: expected at least 1, found 0"),
        ("transcribe", {"beam": 0}, "beam': expected at least 1, found 0"),
        ("events", {"threshold": 2}, "expected more than 0 and less than 1, found 2"),
        ("to", {"device": "gpu"}, "device 'gpu': .*; use 'cpu'"),
        ("to", {"device": "meta:-7"}, "device 'meta:-7': .*; use 'cpu'"),
    ],
)
def test_options_that_mean_nothing_are_errors_for_users(classifier, tmp_path, method, options, expected) -> None:
    made = {"transcribe": make_recogniser, "events": make_detector}.get(method)
    model = asit.load(made(tmp_path / "model.safetensors")) if made else classifier
    audio = () if method == "to" else (noise(1.0)[:, None].repeat(2, 1), RATE)
    with pytest.raises(asit.AsitError, match=expected):
        getattr(model, method)(*audio, **options)


def test_a_channel_may_be_a_number_as_text(tiny) -> None:
    both = np.stack([noise(1.0), noise(1.0, 1)])
    assert np.array_equal(tiny.embed(both, RATE, channel="1"), tiny.embed(both[1], RATE))


def test_frames_of_a_clip_within_a_window_are_the_networks_tokens(tiny) -> None:
    wave = noise(0.655)  # 64 frames
    feats = tiny.features(wave, rate=RATE)
    x = torch.from_numpy(tiny.front_end.normalise(feats))[None, None]
    with torch.inference_mode():
        expected = [tiny.backbone(x, None, layer).patches[0].numpy() for layer in (6, 2)]
    for layer, tokens in zip((-1, 2), expected, strict=True):
        found, times = tiny.embed(wave, rate=RATE, level="frame", layer=layer)
        np.testing.assert_allclose(found, tokens, atol=1e-5)
    np.testing.assert_allclose(times, 0.02 + 0.04 * np.arange(16))


@pytest.mark.parametrize("seconds", [0.1, 0.7, 1.03, 5.0])
def test_there_is_a_row_for_each_patch_of_a_long_recording(tiny, square, seconds) -> None:
    for model, patch, bands in ((tiny, 4, 1), (square, 16, 4)):
        wave = noise(seconds)
        frames = len(model.features(wave, rate=RATE))
        patches, times = model.embed(wave, rate=RATE, level="patch")
        assert patches.shape == (-(-frames // patch), bands, model.dim)
        np.testing.assert_allclose(np.diff(times), patch * 0.01)
        assert abs(times[-1] - seconds) < 2 * patch * 0.01 + 0.025
        rows, _ = model.embed(wave, rate=RATE, level="frame")
        np.testing.assert_allclose(rows, patches.mean(axis=1), atol=1e-6)


def test_where_windows_overlap_their_mean_is_taken(tiny) -> None:
    wave = noise(0.895)  # 88 frames: windows that begin at patch 0 and 6
    feats = tiny.front_end.normalise(tiny.features(wave, rate=RATE))
    windows = torch.from_numpy(np.stack([feats[:64], feats[24:88]]))[:, None]
    with torch.inference_mode():
        first, second = tiny.backbone(windows).patches.numpy()
    expected = np.concatenate([first[:6], (first[6:] + second[:10]) / 2, second[10:]])
    np.testing.assert_allclose(tiny.embed(wave, rate=RATE, level="frame")[0], expected, atol=1e-5)


def test_layers(tiny) -> None:
    wave = noise(1.0)
    assert np.array_equal(tiny.embed(wave, rate=RATE), tiny.embed(wave, rate=RATE, layer=-1))
    assert np.array_equal(tiny.embed(wave, rate=RATE, layer=5), tiny.embed(wave, rate=RATE, layer=-2))
    assert not np.allclose(tiny.embed(wave, rate=RATE), tiny.embed(wave, rate=RATE, layer=0))
    for wrong in ({"layer": 7}, {"layer": -8}, {"level": "word"}):
        with pytest.raises(asit.AsitError, match="expected"):
            tiny.embed(wave, rate=RATE, **wrong)


def test_attention_of_the_class_token(tiny, square) -> None:
    for model in (tiny, square):
        found, times = model.attention(noise(0.655), rate=RATE)
        assert found.shape[:2] == (len(times), model.backbone.grid[1])
        total = found.sum(axis=(0, 1))
        assert ((total > 0.2) & (total < 1)).all(), "the rest goes to the class token itself"
    assert not np.allclose(tiny.attention(noise(1.0), rate=RATE, layer=1)[0], tiny.attention(noise(1.0), rate=RATE)[0])
    with pytest.raises(asit.AsitError, match="expected a block"):
        tiny.attention(noise(1.0), rate=RATE, layer=0)


def test_classes_come_with_probabilities_best_first(classifier, tiny) -> None:
    found = classifier.classify(noise(2.0), rate=RATE)
    assert sorted(name for name, _ in found) == LABELS == classifier.labels
    assert abs(sum(p for _, p in found) - 1) < 1e-5
    assert [p for _, p in found] == sorted((p for _, p in found), reverse=True)
    assert classifier.classify(noise(2.0), rate=RATE, top_k=1) == found[:1]
    assert classifier.classify(noise(2.0), rate=RATE, scoring="whole") != found
    with pytest.raises(asit.AsitError, match="asit-tiny: a backbone, which has no classes"):
        tiny.classify(noise(2.0), rate=RATE)


@pytest.mark.parametrize(("seconds", "count"), [(0.3, 1), (1.0, 1), (2.4, 2), (2.6, 3)])
def test_segments_cover_the_recording(classifier, seconds, count) -> None:
    found = classifier.segments(noise(seconds), rate=RATE, seconds=1.0, top_k=1)
    assert len(found) == count
    assert found[0].start == 0
    assert abs(found[-1].end - seconds) < 0.03
    assert all(a.end == b.start for a, b in itertools.pairwise(found))
    with pytest.raises(asit.AsitError, match=r"expected at least 0\.01"):
        classifier.segments(noise(1.0), rate=RATE, seconds=0.001)


def test_description(classifier, tiny) -> None:
    said = description("asit-tiny")
    assert "2.7 million" in said["network"]
    assert said["licence"] == "CC-BY-SA-4.0"
    assert "3: cat, dog, owl" in description(classifier._embedder.path)["classes"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU: run it where torch finds one")
def test_a_gpu_gives_the_same(tiny) -> None:
    found = asit.load("asit-tiny", device="cuda").embed(noise(1.0), rate=RATE)
    np.testing.assert_allclose(found, tiny.embed(noise(1.0), rate=RATE), atol=1e-3)


def test_no_such_device_or_file(tmp_path) -> None:
    with pytest.raises(asit.AsitError, match=r"no such model file.*asit-tiny"):
        asit.load(tmp_path / "nothing.safetensors")
    if not torch.cuda.is_available():
        with pytest.raises(asit.AsitError, match="no GPU"):
            asit.load("asit-tiny", device="cuda")
