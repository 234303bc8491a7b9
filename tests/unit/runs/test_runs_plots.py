"""Pictures of recordings, trainings and embeddings: what is drawn is what the model gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from small_models import make_classifier, make_square

import asit
from asit.features.picture import Axes
from asit.runs.curves import curves_figure, runs_below
from asit.runs.embedding_map import embedding_map
from asit.runs.plot import Settings, plot
from asit.runs.plots import KINDS
from asit.runs.reconstruct import reconstruct

SPEECH = Path(__file__).parents[3] / "egs/mini/corpus/allison_en/conf-invalid.flac"  # 3.86 s


@pytest.fixture(scope="module")
def tiny() -> asit.Model:
    return asit.load("asit-tiny")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> asit.Model:
    return asit.load(make_classifier(tmp_path_factory.mktemp("my model") / "model.safetensors"))


def images(figure) -> list[np.ndarray]:
    """The pixels of its panels, without those of colour bars."""
    return [np.asarray(i.get_array()) for a in figure.axes for i in a.get_images() if a.get_label() != "<colorbar>"]


def test_a_spectrogram_shows_the_features_in_seconds_and_hertz(tiny) -> None:
    figure = tiny.plot(SPEECH)
    (place, bar) = figure.axes
    np.testing.assert_array_equal(images(figure)[0], tiny.features(SPEECH).T)
    assert place.get_images()[0].get_extent()[:2] == pytest.approx([0.0, 3.84])
    assert [label.get_text() for label in place.get_yticklabels()] == ["200", "500", "1000", "2000", "4000"]
    assert (place.get_xlabel(), place.get_ylabel(), bar.get_ylabel()) == ("seconds", "Hz", "log energy")
    assert place.get_title() == "spectrogram of conf-invalid.flac"
    centres = Axes.of(tiny.fbank.settings, 64).hertz
    at = np.interp(place.get_yticks(), np.arange(64), centres)
    np.testing.assert_allclose(at, [200, 500, 1000, 2000, 4000], rtol=0.02)


def test_a_reconstruction_fills_holes_of_real_speech(tiny) -> None:
    """Better than the mean, which is what a hole of zeros is: the head belongs to this network."""
    found = reconstruct(tiny, tiny.features(SPEECH))
    zeros = float(found.clean[found.mask].abs().mean())
    assert found.error < 0.75 * zeros
    figure = tiny.plot(SPEECH, what="reconstruction")
    clean, corrupted, filled, output = images(figure)
    np.testing.assert_array_equal(clean, found.clean[0, 0].T)
    np.testing.assert_array_equal(corrupted, found.corrupted[0, 0].T)
    hole = found.mask[0, 0].T.numpy()
    np.testing.assert_array_equal(filled[hole], output[hole])
    np.testing.assert_array_equal(filled[~hole], clean[~hole])
    assert f"{found.error:.3f}" in figure.get_suptitle()
    other = images(tiny.plot(SPEECH, what="reconstruction", seed=1))
    assert (other[1] != corrupted).any()


def test_attention_shows_every_head(tiny, tmp_path) -> None:
    weights, _ = tiny.attention(SPEECH, layer=3)
    figure = tiny.plot(SPEECH, what="attention", layer=3)
    np.testing.assert_array_equal(images(figure)[1], weights[:, 0].T)
    assert figure.axes[0].get_title().endswith("block 3 of 6")
    square = asit.load(make_square(tmp_path / "square/backbone.safetensors"))
    weights, _ = square.attention(SPEECH)
    panels = images(square.plot(SPEECH, what="attention"))[1:]
    np.testing.assert_array_equal(np.stack(panels), weights.transpose(2, 1, 0))


def test_classes_over_time_are_probabilities_of_windows(classifier) -> None:
    figure = classifier.plot(SPEECH, what="classes")
    mesh = figure.axes[1].collections[0]
    shown = np.asarray(mesh.get_array())
    names = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert sorted(names) == sorted(classifier.labels)
    np.testing.assert_allclose(shown.sum(axis=0), 1.0, atol=1e-5)
    feats = classifier.features(SPEECH)
    first = dict(classifier.classify_features([feats[: classifier.frames]])[0])
    np.testing.assert_allclose(shown[:, 0], [first[name] for name in names], atol=1e-6)


def test_a_long_recording_is_cut_and_the_title_says_so(tiny) -> None:
    wave = np.random.default_rng(0).normal(size=40 * 16000).astype(np.float32) / 10
    figure = tiny.plot(wave, rate=16000)
    assert images(figure)[0].shape == (64, 3000)
    assert figure.axes[0].get_title() == "spectrogram of array, the first 30 of 40.0 s"


@pytest.mark.parametrize("what", sorted(KINDS))
def test_every_picture_of_a_short_clip_becomes_a_file(what, tiny, classifier, tmp_path) -> None:
    model = classifier if what == "classes" else tiny
    wave = np.random.default_rng(0).normal(size=1600).astype(np.float32) / 10  # a tenth of a second
    model.plot(wave, rate=16000, what=what, out=tmp_path / "new" / "a $b$.png")
    with Image.open(tmp_path / "new" / "a $b$.png") as image:
        assert image.format == "PNG"
        assert image.size[0] == 1200


@pytest.mark.parametrize(
    ("what", "options", "expected"),
    [
        ("spectrogramm", {}, "no picture 'spectrogramm': did you mean 'spectrogram'"),
        ("classes", {}, "asit-tiny: a backbone, which has no classes"),
        ("attention", {"seed": 1}, "attention has no option 'seed'"),
        ("attention", {"layer": 0}, "expected a block, 1 to 6"),
    ],
)
def test_what_is_refused(tiny, what, options, expected) -> None:
    with pytest.raises(asit.AsitError, match=expected):
        tiny.plot(SPEECH, what=what, **options)


def test_a_fine_tuned_model_does_not_reconstruct(classifier) -> None:
    with pytest.raises(asit.AsitError, match="no longer reconstructs; give the backbone"):
        classifier.plot(SPEECH, what="reconstruction")


def write_metrics(folder: Path, rows: list[dict]) -> None:
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_curves_show_what_was_logged(tmp_path) -> None:
    losses = {"loss": 2.0, "global": 3.0, "local": 1.0, "reconstruction": 0.5, "entropy_cls": 1.5, "ln_k_cls": 5.5}
    write_metrics(tmp_path / "pretrain_0", [{"step": s, "kind": "train", "lr": 0.1, **losses} for s in (10, 20)])
    for seed in (0, 1):
        rows = [{"step": 5, "kind": "train", "loss": 1.0 + seed, "lr": 0.1}]
        write_metrics(tmp_path / f"words_{seed}", [*rows, {"step": 5, "kind": "valid", "accuracy": 0.5}])
    write_metrics(tmp_path / "words_0.old-1", [{"step": 1, "kind": "train", "loss": 9.0}])
    figure = curves_figure(runs_below(tmp_path))
    panels = {place.get_title(): place for place in figure.axes if place.get_visible()}
    assert list(panels) == [
        "pretraining: losses",
        "teacher: entropies",
        "fine-tuning: loss",
        "validation: accuracy",
        "learning rate",
    ]
    reconstruction = panels["pretraining: losses"].lines[3]
    assert (reconstruction.get_label(), *reconstruction.get_ydata()) == ("reconstruction", 0.5, 0.5)
    assert panels["teacher: entropies"].lines[-1].get_ydata()[0] == 5.5
    first, second = panels["fine-tuning: loss"].lines
    assert first.get_color() == second.get_color()
    assert [*first.get_ydata(), *second.get_ydata()] == [1.0, 2.0]
    with pytest.raises(asit.AsitError, match="expected a training's metrics"):
        runs_below(tmp_path / "nothing")


def test_a_map_keeps_neighbours_together() -> None:
    random = np.random.default_rng(0)
    vectors = np.eye(3).repeat(12, axis=0) + 0.01 * random.normal(size=(36, 3))
    figure = embedding_map(vectors, [*"a" * 12, *["_b"] * 12, *"c" * 12], "36")
    clouds = [np.asarray(cloud.get_offsets()) for cloud in figure.axes[0].collections]
    assert [len(cloud) for cloud in clouds] == [12, 12, 12]
    spread = max(float(np.linalg.norm(cloud - cloud.mean(axis=0), axis=1).max()) for cloud in clouds)
    middles = [cloud.mean(axis=0) for cloud in clouds]
    assert min(np.linalg.norm(middles[i] - middles[i - 1]) for i in range(3)) > 2 * spread
    assert [text.get_text().strip() for text in figure.axes[0].get_legend().get_texts()] == ["a", "_b", "c"]
    with pytest.raises(asit.AsitError, match="expected at least 5 clips for a map, found 4"):
        embedding_map(np.zeros((4, 3)), ["a"] * 4, "4")


def settings(**given) -> Settings:
    return Settings(**{"model": "asit-tiny", "wav": (str(SPEECH),), "out": "x.png", **given})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"what": "curves"}, "curves: expected --exp"),
        ({"what": "attention", "model": ""}, "attention: expected --model"),
        ({"what": "attention", "wav": ()}, "attention: expected --wav, the recording"),
        ({"what": "attention", "wav": ("a", "b")}, "expected one recording, found 2"),
        ({"what": "embedding-map", "wav": ()}, "expected --wav, the recordings"),
        ({"what": "map"}, "option 'what': expected one of"),
    ],
)
def test_what_the_command_refuses(given, expected) -> None:
    with pytest.raises(asit.AsitError, match=expected):
        plot(settings(**given))


@pytest.mark.parametrize("given", ["folder", "folder/list.txt"])
def test_one_recording_may_be_named_as_for_other_commands(given, tmp_path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "list.txt").write_text(f"{folder}/a.wav\n")
    soundfile.write(folder / "a.wav", np.random.default_rng(0).normal(size=8000) / 10, 16000)
    given = str(tmp_path / given)
    assert plot(settings(wav=(given,), out=str(tmp_path / "x.png"))).endswith("a.wav, 0.50 s")
    soundfile.write(folder / "b.wav", np.zeros(8000), 16000)
    (folder / "list.txt").write_text(f"{folder}/a.wav\n{folder}/b.wav\n")
    with pytest.raises(asit.AsitError, match="expected one recording, found 2"):
        plot(settings(wav=(given,), out=str(tmp_path / "x.png")))


@pytest.mark.parametrize("what", ["spectrogram", "embedding-map"])
def test_names_that_are_not_utf8(what, tmp_path) -> None:
    name = os.fsdecode(b"lat\xe9")
    for place in range(2):
        folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9" + str(place).encode()))
        folder.mkdir()
        for number in range(3):
            wave = np.random.default_rng(number).normal(size=8000) / 10
            with open(f"{folder}/{name}{number}.wav", "wb") as stream:
                soundfile.write(stream, wave, 16000, format="WAV")
    wav = str(tmp_path) if what == "embedding-map" else f"{folder}/{name}0.wav"
    words = [sys.executable, "-m", "asit.bin.plot", what, "--model", "asit-tiny", "--wav", wav]
    done = subprocess.run([*words, "--out", str(tmp_path / "m.png")], capture_output=True, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert (what == "embedding-map") != (b"caf\xe91/lat\xe90.wav" in done.stdout)


def test_the_command(tmp_path) -> None:
    """A map of a folder, of which one recording cannot be read: drawn, named, exit code 1."""
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(3):
            wave = np.random.default_rng(number).normal(size=8000) / 10
            soundfile.write(tmp_path / name / f"{number}.wav", wave, 16000)
    (tmp_path / "a/bad.wav").write_bytes(b"no audio")
    words = [sys.executable, "-m", "asit.bin.plot", "embedding-map", "--model", "asit-tiny", "--wav", str(tmp_path)]
    done = subprocess.run([*words, "--out", str(tmp_path / "m.png")], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "m.png: map of 6 clips, 2 labels" in done.stdout
    assert "bad.wav" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "m.png").stat().st_size > 10_000
