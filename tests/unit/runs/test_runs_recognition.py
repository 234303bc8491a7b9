"""Recognition from fine-tuning to scores and files, on synthetic utterances in which every letter is a tone."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from runs_helpers import MEAN, MELS, STD, build_corpus

import asit
from asit.bin.train_lm import main as train_lm
from asit.config import Chosen, from_dict
from asit.errors import AsitError
from asit.kaldi.ark import ArkWriter
from asit.kaldi.data_dir import write_data_dir
from asit.kaldi.data_dir_validate import validate
from asit.kaldi.table import read_table, write_table
from asit.models.trained import load_model
from asit.recipes import record
from asit.runs.evaluate import evaluate
from asit.runs.finetune import finetune
from asit.runs.info import description
from asit.runs.recognition import log_probabilities, transcripts
from asit.runs.tokens import TokenSettings, train
from asit.runs.transcribe import Settings as TranscribeSettings
from asit.runs.transcribe import transcribe
from asit.tasks import ctc
from asit.tasks.decoding import DecodingSettings

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from small_models import make_recogniser

LETTERS = "abcd"


def spoken(text, rng):
    """14 to 20 frames a letter, in most of which its bin is raised; a space has one too."""
    x = [np.zeros((6, MELS))]
    for letter in text:
        piece = np.zeros((int(rng.integers(14, 20)), MELS))
        piece[1:-6, (LETTERS + " ").index(letter)] = 3 * STD
        x.append(piece)
    x = np.concatenate(x)
    return (x + rng.normal(MEAN, STD, x.shape)).astype(np.float32)


def write_spoken(root, name, count, seed, texts=None):
    rng = np.random.default_rng(seed)
    text = {}
    for i in range(count):
        words = ["".join(rng.choice(list(LETTERS), rng.integers(1, 4))) for _ in range(rng.integers(1, 4))]
        text[f"spk{i % 3}-{i:03d}"] = " ".join(words)
    text = dict(sorted({**text, **(texts or {})}.items()))
    folder = root / "data" / name
    with ArkWriter(folder / "raw.ark", folder / "raw.scp") as writer:
        heard = {utt: "abc" if utt in (texts or {}) else words for utt, words in text.items()}
        feats = {utt: spoken(words, rng) for utt, words in heard.items()}
        for utt, x in feats.items():
            writer.write(utt, x)
    write_data_dir(folder, {"utt2spk": {utt: utt[:4] for utt in text}, "text": text})
    (folder / "raw.scp").rename(folder / "feats.scp")
    write_table(folder / "utt2num_frames", {utt: str(len(x)) for utt, x in feats.items()})
    (folder / "conf").mkdir()
    (folder / "conf/fbank.yaml").write_text((root / "data/valid/conf/fbank.yaml").read_text())
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("a corpus")
    made = build_corpus(root)
    for name, count, seed in (("train_text", 120, 0), ("valid_text", 20, 1), ("test_text", 24, 2)):
        write_spoken(root, name, count, seed)
    train(made.path("train_text"), TokenSettings(token_type="char")).save(root / "data/train_text/tokens")
    return made


def settings(corpus, out, steps=400, task=None, **options):
    sets = {"train_dir": corpus.path("train_text"), "valid_dir": corpus.path("valid_text")}
    made = corpus.finetune_settings(out, task=Chosen("ctc", from_dict(ctc.Settings, task or {})))
    train = dataclasses.replace(made.train, steps=steps)
    return dataclasses.replace(made, train=train, **{"eval_every": 50, **sets, **options})


@pytest.fixture(scope="module")
def trained(corpus):
    out = corpus.root / "exp/ctc"
    finetune(settings(corpus, out))
    return out


def score(corpus, trained, **options):
    made = corpus.evaluate_settings(trained)
    return evaluate(dataclasses.replace(made, **{"data_dir": corpus.path("test_text"), **options}))


def test_it_learns_and_the_files_agree(corpus, trained):
    result = score(corpus, trained)
    assert result.metric == "cer"
    assert result.value < 0.1
    assert (result.clips, result.expected, result.train_clips) == (24, 24, 120)
    low, high = result.intervals["cer"]
    assert low <= result.value <= high
    assert record.load(trained / "test/metrics.json") == result
    reference = read_table(f"{corpus.path('test_text')}/text")
    text = read_table(trained / "test/text", empty_values=True)
    assert list(text) == list(reference)
    for name, table in (("ref", reference), ("hyp", text)):
        lines = (trained / f"test/{name}.trn").read_text().splitlines()
        assert lines == [f"{words} ({utt})" for utt, words in table.items()]
    with (trained / "test/per_utterance.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["utt"] for row in rows] == list(reference)
    for unit, name in (("characters", "cer"), ("words", "wer")):
        wrong, said = (
            sum(int(row[f"{unit}_{kind}"]) for row in rows for kind in kinds)
            for kinds in (("substitute", "delete", "insert"), ("equal", "substitute", "delete"))
        )
        assert wrong / said == pytest.approx(result.metrics[name])
    right = [row for row in rows if text[row["utt"]] == reference[row["utt"]]]
    assert all(row["words_substitute"] == row["characters_insert"] == "0" for row in right)


def test_a_decoded_text_makes_a_valid_data_directory(corpus, trained, tmp_path):
    score(corpus, trained)
    utt2spk = read_table(f"{corpus.path('test_text')}/utt2spk")
    decoded = read_table(trained / "test/text", empty_values=True)
    write_data_dir(tmp_path / "d", {"utt2spk": utt2spk, "text": decoded, "wav.scp": dict.fromkeys(utt2spk, __file__)})
    validate(tmp_path / "d")


def test_a_beam_is_no_worse(corpus, trained):
    best = score(corpus, trained).value
    assert score(corpus, trained, decoding=DecodingSettings(beam=8)).value <= best + 0.01


def test_a_language_model(corpus, trained, tmp_path, monkeypatch, capsys):
    """N-grams of the training text; a model of none of its words makes it worse, so they are asked."""
    folder, out = corpus.path("train_text"), str(tmp_path / "lm.arpa")
    words = ["--data-dir", folder, "--tokens", f"{folder}/tokens", "--out-file", out, "--measure-dir", folder]
    monkeypatch.setattr(sys, "argv", ["asit-train-lm", *words])
    train_lm()
    assert re.search(r"n-grams of .*\n.*perplexity \d\.\d\d a unit", capsys.readouterr().out)
    with_lm = DecodingSettings(beam=8, lm=out, lm_weight=0.3, unit_bonus=0.5)
    assert score(corpus, trained, decoding=with_lm).value <= score(corpus, trained).value + 0.01
    (tmp_path / "d.arpa").write_text("\\1-grams:\n-9 a\n-9 b\n-9 c\n-9 ▁\n-9 </s>\n-0.01 d\n")
    strange = dataclasses.replace(with_lm, lm=str(tmp_path / "d.arpa"), lm_weight=2.0)
    assert score(corpus, trained, decoding=strange).value > 0.5
    with pytest.raises(AsitError, match=r"a language model needs prefixes to choose from: set beam, such as 10"):
        DecodingSettings(lm=out)


def test_text_does_not_depend_on_batches_or_order(corpus, trained):
    model = load_model(str(trained / "model.safetensors"))
    rng = np.random.default_rng(5)
    feats = [spoken(words, rng) for words in ("a", "abc dab cab dabba", "ab cd", "b" * 30)]
    together = list(log_probabilities(model.classifier, feats, model.front_end))
    for one, x in zip(together, feats, strict=True):
        (alone,) = log_probabilities(model.classifier, [x], model.front_end)
        assert alone.shape == one.shape == (-(-len(x) // 4), 7)
        assert np.allclose(one, alone, atol=1e-5)
    decode = model.task.decoder(DecodingSettings())
    texts = transcripts(model.classifier, decode, feats, model.front_end)
    assert transcripts(model.classifier, decode, feats[::-1], model.front_end) == texts[::-1]


def test_an_interrupted_run_is_the_same_run(corpus, tmp_path):
    finetune(settings(corpus, tmp_path / "whole", steps=12))
    finetune(settings(corpus, tmp_path / "parts", steps=12))
    states = [load_model(str(tmp_path / n / "model.safetensors")).classifier.state_dict() for n in ("whole", "parts")]
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))
    with pytest.raises(AsitError, match="begun with other settings"):
        finetune(settings(corpus, tmp_path / "parts", steps=12, task={"max_frames": 200}))


def test_a_finer_stride_has_more_steps(corpus, tmp_path):
    finetune(settings(corpus, tmp_path / "fine", steps=6, time_stride=2))
    model = load_model(str(tmp_path / "fine/model.safetensors"))
    x = np.zeros((101, MELS), np.float32)
    (found,) = log_probabilities(model.classifier, [x], model.front_end)
    assert len(found) == 51
    assert model.classifier.backbone.grid == (15, 1)


def test_what_is_left_out_is_listed(corpus, tmp_path, caplog):
    texts = {"spk0-900": "abz", "spk0-901": "a" * 60}
    folder = write_spoken(corpus.root, "odd", 50, 3, texts)
    train(corpus.path("train_text"), TokenSettings(token_type="char")).save(folder / "tokens")
    with pytest.raises(AsitError, match=r"odd/text: utterance 'spk0-900': 'z' has no unit in .*tokens.model \(2 of 52"):
        finetune(settings(corpus, tmp_path / "no", train_dir=str(folder), task={"max_left_out": 0.01}))
    finetune(settings(corpus, tmp_path / "run", steps=6, train_dir=str(folder), task={"max_frames": 500}))
    assert list(read_table(tmp_path / "run/left_out")) == ["spk0-900", "spk0-901"]
    assert load_model(str(tmp_path / "run/model.safetensors")).metadata["train_clips"] == 50


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"task": {"tokens": "gone"}}, r"train_text/gone/tokens.model: cannot read.*asit-train-tokens"),
        ({"balance_classes": True}, r"option 'balance_classes': task 'ctc' has no use for it; leave it False"),
        ({"train_dir": "train"}, r"train/tokens/tokens.model: cannot read"),
        ({"valid_dir": "valid"}, r"valid/text"),
    ],
)
def test_mistakes(corpus, tmp_path, options, says):
    paths = {name: corpus.path(options[name]) for name in ("train_dir", "valid_dir") if name in options}
    with pytest.raises(AsitError, match=says):
        finetune(settings(corpus, tmp_path / "x", **{**options, **paths}))
    assert not (tmp_path / "x/model.safetensors").exists()


# --- from audio ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recogniser(tmp_path_factory):
    return make_recogniser(tmp_path_factory.mktemp("model") / "model.safetensors")


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    rng = np.random.default_rng(1)
    kinds = (("a b.wav", 0.7, 16000, 1), ("c.flac", 9.3, 44100, 2), ("d.ogg", 2.0, 8000, 1))
    for name, seconds, rate, channels in kinds:
        level = np.repeat(rng.uniform(0.01, 0.3, int(seconds * 10)), rate // 10)[:, None]
        soundfile.write(folder / name, level * rng.standard_normal((len(level), channels)).clip(-1, 1), rate)
    return folder


def lines(recogniser, *wav, **options):
    return list(transcribe(TranscribeSettings(model=recogniser, wav=tuple(map(str, wav)), **options)))


def test_any_audio_in_every_form(recogniser, audio):
    model = asit.load(recogniser)
    files = sorted(audio.iterdir())
    texts = model.transcribe([str(path) for path in files])
    assert all(texts)
    assert len(set(texts)) == 3
    assert model.transcribe(files[0]) == texts[0]
    wave, rate = soundfile.read(files[1])
    assert model.transcribe(wave, rate=rate) == texts[1]
    assert lines(recogniser, audio) == [f"{path}\t{text}" for path, text in zip(files, texts, strict=True)]
    assert lines(recogniser, files[1], files[2], format="text") == [f"{files[i]} {texts[i]}" for i in (1, 2)]
    found = json.loads(lines(recogniser, files[2], format="jsonl")[0])
    assert found == {"recording": str(files[2]), "seconds": 2.0, "text": texts[2]}
    assert lines(recogniser, files[2], format="trn") == [f"{texts[2]} ({files[2]})"]


def test_names_that_kaldi_cannot_hold(recogniser, audio):
    with pytest.raises(AsitError, match=r"a b\.wav: white space in a name.*--format tsv"):
        lines(recogniser, audio / "a b.wav", format="text")


def test_models_of_another_kind(recogniser, audio):
    model = asit.load(recogniser)
    assert model.labels == []
    with pytest.raises(
        AsitError, match=r"trained on transcripts, not classes; asit-transcribe or transcribe\(\) gives text"
    ):
        model.classify(audio / "c.flac")
    with pytest.raises(AsitError, match="asit-tiny: not trained on transcripts"):
        lines("asit-tiny", audio / "c.flac")
    assert model.embed(audio / "c.flac").shape == (192,)
    facts = description(recogniser)
    assert facts["kind"] == "fine-tuned, task ctc"
    assert facts["units"].startswith("11: <blank>, <unk>, ")


def test_a_recording_that_cannot_be_read_does_not_stop_the_others(recogniser, audio, tmp_path):
    (tmp_path / "no.wav").write_bytes(b"RIFF")
    failed: list[str] = []
    wanted = TranscribeSettings(model=recogniser, wav=(str(tmp_path / "no.wav"), str(audio / "d.ogg")))
    assert len(list(transcribe(wanted, failed))) == 1
    assert "no.wav" in failed[0]
