"""asit-predict, asit-embed and asit-info on audio of any kind, as their users call them."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from small_models import make_classifier

import asit
from asit.errors import AsitError
from asit.io.any_audio import sources
from asit.kaldi.ark import read_matrix, read_vector
from asit.kaldi.table import read_table


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return make_classifier(tmp_path_factory.mktemp("a model") / "model.safetensors")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Four recordings of different rates and channels, one of them no audio, and lists of them."""
    home = tmp_path_factory.mktemp("some audio")
    random = np.random.default_rng(0)
    (home / "birds/deep").mkdir(parents=True)
    soundfile.write(home / "birds/one.wav", 0.1 * random.normal(size=24000), 16000)
    soundfile.write(home / "birds/deep/one.flac", 0.1 * random.normal(size=(44100, 2)), 44100)
    soundfile.write(home / "birds/two.OGG", 0.1 * random.normal(size=8000), 8000)
    (home / "birds/notes.md").write_text("no audio")
    (home / "broken.wav").write_bytes(b"RIFF of no kind")
    (home / "list.txt").write_text(f"{home}/birds/one.wav\n\n{home}/broken.wav\n{home}/birds/two.OGG\n")
    (home / "wav.scp").write_text(f"bird-1\t{home}/birds/one.wav\nbird-2 cat '{home}/birds/one.wav' |\n")
    return home


def run(command: str, *words: object, code: int = 0) -> tuple[list[str], str]:
    """Lines of the output, and what else is told."""
    line = [sys.executable, "-m", f"asit.bin.{command}", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines(), done.stderr


def test_words_become_recordings(corpus) -> None:
    names = [source.name for source in sources([str(corpus / "birds"), "x.wav", "-", str(corpus / "wav.scp")])]
    birds = [str(corpus / "birds" / name) for name in ("deep/one.flac", "one.wav", "two.OGG")]
    assert names == [*birds, "x.wav", "-", "bird-1", "bird-2"]
    (corpus / "empty").mkdir(exist_ok=True)
    (corpus / "odd.scp").write_text("bird-1\n")
    (corpus / "none.txt").write_text("\n")
    for word, expected in (
        ("empty", "found none"),
        ("odd.scp", "odd.scp:1"),
        ("none.txt", "found none"),
        ("no.txt", "No such"),
    ):
        with pytest.raises(AsitError, match=expected):
            sources([str(corpus / word)])


def test_a_list_may_begin_with_a_byte_order_mark(corpus, tmp_path) -> None:
    for name, line in (("l.txt", "one.wav"), ("l.scp", "utt one.wav")):
        (tmp_path / name).write_text(f"\ufeff{line}\r\n", encoding="utf-8")
        assert sources([str(tmp_path / name)]) == [("utt" if name == "l.scp" else "one.wav", "one.wav")]


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(model, corpus) -> None:
    lines, told = run("predict", "--model", model, "--top-k", 1, corpus / "list.txt", "nothing.wav", code=1)
    assert [line.split("\t")[0] for line in lines] == [f"{corpus}/birds/one.wav", f"{corpus}/birds/two.OGG"]
    assert f"{corpus}/broken.wav: " in told
    assert "nothing.wav: no such file" in told
    assert "(2 recordings failed)" in told


def test_a_note_on_conversion_comes_once_for_each_rate(model, corpus) -> None:
    _, told = run("predict", "--model", model, corpus / "birds", corpus / "birds")
    assert told.count("resampled from 44100 Hz") == told.count("resampled from 8000 Hz") == 1


def test_formats_say_the_same(model, corpus) -> None:
    words = ("--model", model, "--top-k", 2, "--segments", 0.5, corpus / "birds")
    by_tab = [line.split("\t") for line in run("predict", *words)[0]]
    header, *rows = csv.reader(run("predict", *words, "--format", "csv")[0])
    assert header == ["recording", "start", "end", "rank", "class", "probability"]
    assert rows == by_tab
    objects = [json.loads(line) for line in run("predict", *words, "--format", "jsonl")[0]]
    assert [(o["recording"], c["class"]) for o in objects for c in o["classes"]] == [(r[0], r[4]) for r in rows]
    table = run("predict", *words, "--format", "table")[0]
    assert len(table) == len(objects) == len(rows) / 2
    assert table[0].startswith(f"{rows[0][0]}  0.00–0.50 s  {rows[0][4]} ")


def test_commands_and_channels_in_wav_scp(model, corpus) -> None:
    lines, _ = run("predict", "--model", model, "--top-k", 1, "--allow-pipes", "true", corpus / "wav.scp")
    (first, second) = (line.split("\t") for line in lines)
    assert (first[0], second[0], first[1:]) == ("bird-1", "bird-2", second[1:])
    _, told = run("predict", "--model", model, corpus / "wav.scp", code=1)
    assert "is a command, not a file" in told
    one, other = (
        run("predict", "--model", model, "--channel", channel, corpus / "birds/deep/one.flac")[0]
        for channel in ("0", "mix")
    )
    assert one != other
    assert "expected mix, or a number" in run("predict", "--model", model, "--channel", "left", "x.wav", code=1)[1]


def test_a_backbone_is_told_apart(corpus) -> None:
    _, told = run("predict", "--model", "asit-tiny", corpus / "birds", code=1)
    assert "has no classes" in told


@pytest.mark.parametrize("level", ["clip", "frame"])
def test_embeddings_of_audio_are_what_a_back_end_reads(corpus, tmp_path, level) -> None:
    words = ("--model", "asit-tiny", "--level", level, "--ngpu", 0)
    (line,), told = run("embed", *words, "--out-dir", tmp_path / "ark", corpus / "birds", corpus / "broken.wav", code=1)
    assert line == f"{tmp_path / 'ark'}: 3 {level} embeddings"
    assert "broken.wav" in told
    scp = read_table(tmp_path / "ark/embeddings.scp")
    assert list(scp) == ["birds_deep_one", "birds_one", "birds_two"]
    run("embed", *words, "--format", "npy", "--out-dir", tmp_path / "npy", corpus / "birds/one.wav")
    found = np.load(tmp_path / "npy/one.npy")
    expected = asit.load("asit-tiny").embed(corpus / "birds/one.wav", level=level)
    if level == "clip":
        np.testing.assert_allclose(read_vector(scp["birds_one"]), expected, atol=1e-5)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        return
    np.testing.assert_allclose(read_matrix(scp["birds_one"]), expected[0], atol=1e-5)
    np.testing.assert_allclose(found, expected[0], atol=1e-5)
    assert read_table(tmp_path / "ark/utt2num_frames")["birds_one"] == str(len(expected[0]))
    assert (tmp_path / "ark/frame_shift").read_text() == "0.04\n"


def test_every_recording_has_an_embedding_of_its_own(corpus, tmp_path) -> None:
    shutil.copytree(corpus / "birds", tmp_path / "birds")
    soundfile.write(tmp_path / "birds/one.flac", soundfile.read(tmp_path / "birds/one.wav")[0], 16000)
    run("embed", "--model", "asit-tiny", "--out-dir", tmp_path / "out", "--format", "npy", tmp_path / "birds")
    found = {path.name for path in (tmp_path / "out").iterdir()}
    assert found == {"one.wav.npy", "one.flac.npy", "deep_one.npy", "two.npy"}


@pytest.mark.parametrize("kind", ["ark", "npy", "parquet"])
def test_a_recording_that_is_named_twice_is_refused_before_anything_is_written(corpus, tmp_path, kind) -> None:
    (tmp_path / "wav.scp").write_text(f"b {corpus}/birds/one.wav\nb {corpus}/birds/two.OGG\n")
    for words in ([corpus / "birds", corpus / "birds/one.wav"], [tmp_path / "wav.scp"]):
        line = ["--model", "asit-tiny", "--out-dir", tmp_path / "out", "--format", kind, *words]
        assert "is named 2 times; name it once" in run("embed", *line, code=1)[1]
        assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("command", [("embed", "--level", "clip"), ("embed", "--level", "frame"), ("plot",)])
def test_where_nothing_can_be_read_each_reason_is_told(command, corpus, tmp_path) -> None:
    words = [corpus / "broken.wav", tmp_path / "missing.wav"]
    if command[0] == "plot":
        command, words = ("plot", "embedding-map", "--out", tmp_path / "map.png"), ["--wav", *words]
    else:
        command = (*command, "--out-dir", tmp_path / "out")
    _, told = run(*command, "--model", "asit-tiny", *words, code=1)
    assert "broken.wav: cannot be decoded" in told
    assert "missing.wav: no such file" in told
    assert not [*tmp_path.glob("out/*"), *tmp_path.glob("*.png")]


def test_embeddings_need_one_kind_of_input(tmp_path) -> None:
    words = ("--model", "asit-tiny", "--out-dir", tmp_path)
    assert "found neither" in run("embed", *words, code=1)[1]
    assert "found both" in run("embed", *words, "--data-dir", "data", "x.wav", code=1)[1]


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not there: apt-get install ffmpeg")
def test_what_libsndfile_does_not_read_goes_through_ffmpeg(model, corpus, tmp_path) -> None:
    line = ["ffmpeg", "-v", "error", "-i", corpus / "birds/one.wav", "-c:a", "aac", tmp_path / "one.m4a"]
    subprocess.run(line, check=True)
    lines, _ = run("predict", "--model", model, tmp_path / "one.m4a")
    assert len(lines) == 3
    (tmp_path / "bad.m4a").write_bytes(b"no audio")
    assert "ffmpeg cannot decode it" in run("predict", "--model", model, tmp_path / "bad.m4a", code=1)[1]


def test_without_ffmpeg_the_remedy_is_named(model, tmp_path, monkeypatch) -> None:
    (tmp_path / "bad.m4a").write_bytes(b"no audio")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "takes ffmpeg" in run("predict", "--model", model, tmp_path / "bad.m4a", code=1)[1]


def test_info(model) -> None:
    lines, _ = run("info", "asit-tiny", model)
    assert "network      vit, width 192, 6 blocks, 3 heads, 2.7 million weights" in lines
    assert "classes      3: cat, dog, owl" in lines


@pytest.mark.parametrize("level", ["clip", "frame", "patch"])
def test_a_table_of_embeddings(corpus, tmp_path, level) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install -e '.[test]'")
    words = ("--model", "asit-tiny", "--level", level, "--format", "parquet", "--ngpu", 0, "--out-dir", tmp_path)
    run("embed", *words, corpus / "birds")
    table = parquet.read_table(tmp_path / "embeddings.parquet").to_pydict()
    model = asit.load("asit-tiny")
    for name, path in (("one", "birds/one.wav"), ("deep_one", "birds/deep/one.flac")):
        rows = [number for number, one in enumerate(table["name"]) if one == name]
        found = np.array([table["embedding"][row] for row in rows], np.float32)
        expected = model.embed(corpus / path, level=level)
        if level == "clip":
            assert list(table) == ["name", "embedding"]
            np.testing.assert_allclose(found, expected[None], atol=1e-5)
        else:
            np.testing.assert_allclose([table["seconds"][row] for row in rows], expected[1], atol=1e-5)
            np.testing.assert_allclose(found, expected[0].reshape(len(rows), -1), atol=1e-5)


def test_frames_of_a_clip_with_a_single_one_have_their_shift(corpus, tmp_path) -> None:
    soundfile.write(tmp_path / "click.wav", 0.1 * np.random.default_rng(0).normal(size=640), 16000)
    words = ("--model", "asit-tiny", "--level", "frame", "--ngpu", 0, "--out-dir", tmp_path / "out")
    run("embed", *words, tmp_path / "click.wav")
    assert (tmp_path / "out/frame_shift").read_text() == "0.04\n"
    assert read_table(tmp_path / "out/utt2num_frames") == {"click": "1"}
