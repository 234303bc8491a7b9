from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_helpers import build_corpus
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from asit.errors import AsitError
from asit.kaldi.ark import read_vector
from asit.kaldi.data_dir import DataDir
from asit.kaldi.table import read_table, write_table
from asit.metrics.eer import min_dcf
from asit.runs.embed import Settings as EmbedSettings
from asit.runs.embed import embed
from asit.runs.embedder import EmbedderSettings
from asit.runs.trials import read_trials, utterances_of
from asit.runs.verify import Settings, summary, verify

CPU = EmbedderSettings(ngpu=0, threads=1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The classification corpus, with the paths that a corpus of speakers would have; ``trials`` beside it."""
    corpus = build_corpus(tmp_path_factory.mktemp("a corpus"))
    utts = list(read_table(corpus.root / "data/test/utt2spk"))
    write_table(corpus.root / "data/test/wav.scp", {u: f"/corpora/vox 1/wav/{u[:4]}/video/{u[5:]}.flac" for u in utts})
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(200):
        a, b = rng.choice(utts, 2, replace=False)
        mistake = rng.random() < 0.2  # else no trial is hard
        lines.append(f"{int((a[:4] == b[:4]) != mistake)} {name_of(a)} {name_of(b)}\n")
    (corpus.root / "trials").write_text("".join(lines))
    return corpus


def name_of(utt: str) -> str:
    return f"{utt[:4]}/video/{utt[5:]}.wav"


def settings_of(corpus, out_dir, **options):
    options = {"model": corpus.init, "trials": str(corpus.root / "trials"), "embedder": CPU, **options}
    return Settings(data_dir=corpus.path("test"), out_dir=str(out_dir), **options)


def slow_min_dcf(scores, targets, p_target, c_miss=1.0, c_false_alarm=1.0):
    """NIST's definition: the cost at every threshold, over the cost of deciding blindly."""
    costs = []
    for threshold in [*scores, np.inf]:
        miss = np.mean(scores[targets == 1] < threshold)
        alarm = np.mean(scores[targets == 0] >= threshold)
        costs.append(c_miss * p_target * miss + c_false_alarm * (1 - p_target) * alarm)
    return min(costs) / min(c_miss * p_target, c_false_alarm * (1 - p_target))


@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.05, 0.5, 0.9]), st.sampled_from([1.0, 10.0]))
def test_min_dcf_equals_its_definition(seed, p_target, c_miss):
    rng = np.random.default_rng(seed)
    targets = np.append([0, 1], rng.integers(0, 2, 30))
    scores = np.round(rng.normal(targets, 1.0), 1)  # with ties
    assert min_dcf(scores, targets, p_target, c_miss) == pytest.approx(
        slow_min_dcf(scores, targets, p_target, c_miss), abs=1e-12
    )


def test_scores_are_cosines_and_rates_are_those_of_the_scores(corpus, tmp_path):
    result = verify(settings_of(corpus, tmp_path, tags=("task=verification",)))
    embed(EmbedSettings(model=corpus.init, data_dir=corpus.path("test"), out_dir=str(tmp_path / "e"), embedder=CPU))
    vectors = {u: read_vector(spec) for u, spec in read_table(tmp_path / "e/embeddings.scp").items()}
    rows = [line.split() for line in (tmp_path / "scores").read_text().splitlines()]
    trials = [line.split() for line in (corpus.root / "trials").read_text().splitlines()]
    assert [row[1:] for row in rows] == trials, "one line a trial, in the order of the list"
    for score, _, a, b in rows:
        x, y = (vectors[name.replace("/video/", "-").removesuffix(".wav")] for name in (a, b))
        assert float(score) == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y), abs=2e-6)
    scores, targets = np.array([float(row[0]) for row in rows]), np.array([int(row[1]) for row in rows])
    false_alarms, hits, _ = roc_curve(targets, scores, drop_intermediate=False)
    expected = brentq(lambda x: 1.0 - x - interp1d(false_alarms, hits)(x), 0.0, 1.0)
    assert 0.0 < result.metrics["eer"] < 0.5
    assert result.metrics["eer"] == pytest.approx(expected, abs=0.01)  # scores are rounded, the curve has steps
    for p in (0.01, 0.05):
        assert result.metrics[f"min_dcf_{p}"] == pytest.approx(slow_min_dcf(scores, targets, p), abs=1e-9)
    stored = json.loads((tmp_path / "metrics.json").read_text())
    assert stored["metrics"] == result.metrics
    assert stored["metric"] == "eer"
    assert stored["tags"] == {"task": "verification"}
    assert (result.clips, result.expected) == (200, 200)
    assert "min_dcf_0.01" in summary(result)
    assert "200 of 200 trials" in summary(result)


def test_stored_embeddings_give_the_same(corpus, tmp_path):
    result = verify(settings_of(corpus, tmp_path / "model"))
    embed(EmbedSettings(model=corpus.init, data_dir=corpus.path("test"), out_dir=str(tmp_path), embedder=CPU))
    again = verify(settings_of(corpus, tmp_path / "e", model="", embeddings=str(tmp_path / "embeddings.scp")))
    assert again.metrics == pytest.approx(result.metrics)


def test_kaldi_lists_and_other_priors(corpus, tmp_path):
    words = [line.split() for line in (corpus.root / "trials").read_text().splitlines()]
    ids = [name.replace("/video/", "-").removesuffix(".wav") for _, *names in words for name in names]
    kind = {"1": "target", "0": "nontarget"}
    kaldi = "".join(f"{a} {b} {kind[w[0]]}\n" for w, a, b in zip(words, ids[::2], ids[1::2], strict=True))
    (tmp_path / "trials").write_text(kaldi)
    official = verify(settings_of(corpus, tmp_path / "a", p_target=(0.3,)))
    ours = verify(settings_of(corpus, tmp_path / "b", trials=str(tmp_path / "trials"), p_target=(0.3,)))
    assert ours.metrics == official.metrics
    assert list(ours.metrics) == ["eer", "min_dcf_0.3"]


def test_a_missing_clip_is_named_and_with_permission_counted(corpus, tmp_path):
    text = (corpus.root / "trials").read_text() + "1 spk0/video/000.wav spk0/video/999.wav\n"
    (tmp_path / "trials").write_text(text)
    options = {"trials": str(tmp_path / "trials")}
    message = r"trials:201: no clip with features for 'spk0/video/999.wav' .* 1 of 201 trials lack one, 1 clips"
    with pytest.raises(AsitError, match=message):
        verify(settings_of(corpus, tmp_path / "out", **options))
    result = verify(settings_of(corpus, tmp_path / "out", max_missing=0.01, **options))
    assert (result.clips, result.expected) == (200, 201)
    assert (tmp_path / "out/missing").read_text() == "spk0/video/999.wav\n"
    assert result.metrics == verify(settings_of(corpus, tmp_path / "whole")).metrics


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 a b\n2 a b\n", r"trials:2: expected '1 clip clip', .* found '2 a b'"),
        ("1 a\n", r"trials:1: expected '1 clip clip'"),
        ("1 a b\n1 a c\n", r"trials of one speaker \(1\) and of two \(0\), found 2 and 0"),
        ("", r"found 0 and 0"),
    ],
)
def test_malformed_lists_are_named(tmp_path, text, message):
    (tmp_path / "trials").write_text(text)
    with pytest.raises(AsitError, match=message):
        read_trials(str(tmp_path / "trials"))


def test_an_ambiguous_name_is_refused(corpus, tmp_path):
    write_table(tmp_path / "wav.scp", {"a-1": "/one/a/1.wav", "b-1": "/two/a/1.flac"})
    write_table(tmp_path / "utt2spk", {"a-1": "a", "b-1": "b"})
    data = DataDir(str(tmp_path))
    assert utterances_of(["one/a/1.wav", "b-1", "c", "."], data) == {"one/a/1.wav": "a-1", "b-1": "b-1"}
    with pytest.raises(AsitError, match=r"'a/1.wav' is the end of 2 paths \(a-1, b-1\)"):
        utterances_of(["a/1.wav"], data)


def test_exactly_one_source_of_embeddings(corpus, tmp_path):
    for options in ({"model": ""}, {"embeddings": "e.scp"}):
        with pytest.raises(AsitError, match="expected one of --model and --embeddings"):
            verify(settings_of(corpus, tmp_path, **options))
