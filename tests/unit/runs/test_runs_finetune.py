from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from runs_helpers import build_corpus

from asit.config import Chosen
from asit.data.clips import ClipSettings
from asit.data.targets import MultiHot
from asit.errors import AsitError
from asit.features.stats import Stats
from asit.kaldi.ark import read_vector
from asit.kaldi.data_dir import DataDir
from asit.kaldi.table import read_table
from asit.models import model_file
from asit.models.classifier import HeadSettings
from asit.models.trained import load_backbone, load_model
from asit.recipes import record
from asit.runs.baseline import Settings as BaselineSettings
from asit.runs.baseline import baseline
from asit.runs.embed import Settings as EmbedSettings
from asit.runs.embed import embed
from asit.runs.evaluate import evaluate
from asit.runs.finetune import finetune
from asit.runs.material import class_weights
from asit.runs.predict import Settings as PredictSettings
from asit.runs.predict import predict
from asit.tasks import tagging
from asit.train.loop import Loop


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return build_corpus(tmp_path_factory.mktemp("a corpus"))


@pytest.fixture(scope="module")
def trained(corpus):
    out = corpus.root / "exp" / "seed0"
    finetune(corpus.finetune_settings(out, tags=("labels=all",)))
    return out


def test_it_learns_and_the_model_carries_everything(corpus, trained):
    result = evaluate(corpus.evaluate_settings(trained))
    assert result.value > 0.8
    assert (result.clips, result.expected, result.train_clips) == (24, 24, 36)
    assert result.tags == {"task": "classification", "system": "pretrained", "seed": "0", "labels": "all"}
    model = load_model(str(trained / "model.safetensors"))
    assert model.task.labels == ["alfa", "bravo", "charlie"]
    assert (model.front_end.stats.mean, model.front_end.stats.std) == (-6.0, 4.0)
    assert model.front_end.fbank.num_mel_bins == 8


def test_a_file_of_an_earlier_version_loads_where_its_options_had_their_only_value(trained, tmp_path):
    tensors, metadata = model_file.load(trained / "model.safetensors")
    metadata["head"] |= {"head_norm": True, "head_dropout": 0.0}
    model_file.save(tmp_path / "earlier.safetensors", tensors, metadata)
    assert load_model(str(tmp_path / "earlier.safetensors")).task.labels == ["alfa", "bravo", "charlie"]
    metadata["head"]["head_norm"] = False
    model_file.save(tmp_path / "other.safetensors", tensors, metadata)
    with pytest.raises(AsitError, match="head_norm"):
        load_model(str(tmp_path / "other.safetensors"))


def test_outputs_of_evaluation_agree_with_each_other(corpus, trained):
    result = evaluate(corpus.evaluate_settings(trained))
    out = trained / "test"
    assert record.load(out / "metrics.json").metrics == result.metrics
    rows = [line.split() for line in read_table(out / "predictions").values()]
    assert np.mean([ref == hyp for ref, hyp, _ in rows]) == pytest.approx(result.metrics["accuracy"])
    confusion = np.loadtxt(out / "confusion.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3))
    assert np.trace(confusion) / confusion.sum() == pytest.approx(result.metrics["accuracy"])
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "per_class.csv").read_text().splitlines()[0] == "class,clips,accuracy"


def test_selection_looks_at_validation_only_and_ties_keep_the_earlier(corpus, trained):
    facts = model_file.load_metadata(trained / "model.safetensors")
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert all("accuracy" in line for line in lines if line["kind"] == "valid"), "epochs without validation are silent"
    valid = [(line["step"], line["accuracy"]) for line in lines if "accuracy" in line]
    best = max(value for _, value in valid)
    assert facts["kept_step"] == next(step for step, value in valid if value == best)
    assert facts["valid"] == {"accuracy": best}
    config = (trained / "config.yaml").read_text()
    assert corpus.path("test") not in config


def test_a_finished_run_is_left_alone_and_another_one_refused(corpus, trained, capsys):
    before = (trained / "model.safetensors").stat().st_mtime_ns
    finetune(corpus.finetune_settings(trained, tags=("labels=all",)))
    assert (trained / "model.safetensors").stat().st_mtime_ns == before
    assert "finished already" in capsys.readouterr().err
    with pytest.raises(AsitError, match="begun with other settings"):
        finetune(corpus.finetune_settings(trained, seed=1))
    (trained / "done.json").unlink()  # checked and exported again, not a dead end
    finetune(corpus.finetune_settings(trained))
    assert json.loads((trained / "done.json").read_text())["steps"]


def test_other_labels_are_another_run(corpus, tmp_path, capsys):
    """Corrected labels, another order of the classes, other validation labels: never the old model."""
    data = Path(corpus.path("train")).parent
    shutil.copytree(data, tmp_path / "data")
    sets = {f"{name}_dir": str(tmp_path / "data" / name) for name in ("train", "valid")}
    out = tmp_path / "run"
    finetune(corpus.finetune_settings(out, **sets))
    changes = [("train/utt2label", _swap), ("valid/utt2label", _swap), ("train/labels.txt", _swap_indices)]
    for number, (name, change) in enumerate(changes, 1):
        path = tmp_path / "data" / name
        path.write_text(change(path.read_text()))
        with pytest.raises(
            AsitError,
            match=r"begun with other settings or data: the (training|validation) clips, .*--restart-changed true",
        ):
            finetune(corpus.finetune_settings(out, **sets))
        finetune(corpus.finetune_settings(out, **sets, restart_changed=True))
        assert f"kept in {out}.old-{number}" in capsys.readouterr().err
        assert (tmp_path / f"run.old-{number}" / "model.safetensors").is_file()
        assert load_model(str(out / "model.safetensors")).task.labels == list(DataDir(sets["train_dir"]).labels)


def test_a_run_that_an_older_version_finished_is_refused_or_put_aside(corpus, trained, tmp_path):
    out = tmp_path / "old"
    shutil.copytree(trained, out)
    for text in ('{"identity": {"seed": 0}, "steps": 1}', '{"steps": 3}'):
        (out / "done.json").write_text(text)
        with pytest.raises(AsitError, match=r"done\.json: this run was begun"):
            finetune(corpus.finetune_settings(out))
    (out / "done.json").unlink()  # stopped before its end
    markers = {path: path.read_text() for path in (out / "checkpoints").glob("*.json")}
    for path, text in markers.items():
        path.write_text(json.dumps({k: v for k, v in json.loads(text).items() if k != "identity"}))
    with pytest.raises(AsitError, match=r"step-\d+\.json: this run was begun .*an older version"):
        finetune(corpus.finetune_settings(out))
    for path, text in markers.items():
        path.write_text(text)
    for text in ("[]", "null", "{", "[" * 100_000):  # damaged: the checkpoint counts
        (out / "done.json").write_text(text)
        finetune(corpus.finetune_settings(out))
        assert json.loads((out / "done.json").read_text())["identity"]


def _swap(text):
    labels = sorted({line.split(" ", 1)[1] for line in text.splitlines()})[:2]
    other = dict(zip(labels, reversed(labels), strict=True))
    pairs = (line.split(" ", 1) for line in text.splitlines())
    return "".join(f"{utt} {other.get(label, label)}\n" for utt, label in pairs)


def _swap_indices(text):
    names = [line.split()[0] for line in text.splitlines()]
    names[:2] = reversed(names[:2])
    return "".join(f"{name} {index}\n" for index, name in enumerate(names))


def test_same_seed_same_weights_other_seed_other_weights(corpus, trained, tmp_path):
    for seed in (0, 1):
        finetune(corpus.finetune_settings(tmp_path / str(seed), seed=seed))
    weights = [
        model_file.load(folder / "model.safetensors")[0]["head.weight"]
        for folder in (trained, tmp_path / "0", tmp_path / "1")
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_files_of_earlier_versions_have_options_that_are_gone(corpus, trained, tmp_path):
    for path in (corpus.init, trained / "model.safetensors"):
        tensors, metadata = model_file.load(path)
        settings = dict(metadata["model_settings"])
        settings["patch_frames"], settings["patch_mels"] = settings.pop("patch")
        settings["stride_frames"], settings["stride_mels"] = settings.pop("stride")
        gone = {"attention": "auto", "mlp_ratio": 4.0, "position_fit": "interpolate"}
        old = {**metadata, "model_settings": settings | gone}
        model_file.save(tmp_path / f"{metadata['kind']}.safetensors", tensors, old)
    load_backbone(str(tmp_path / "backbone.safetensors"), from_scratch=False, drop_path=None, crop_frames=0)
    assert load_model(str(tmp_path / "classifier.safetensors")).task.labels == ["alfa", "bravo", "charlie"]


def test_from_scratch_differs_in_the_weights_only(corpus):
    options = {"drop_path": None, "crop_frames": 0}
    torch.manual_seed(5)
    scratch = load_backbone(corpus.init, from_scratch=True, **options)
    pretrained = load_backbone(corpus.init, from_scratch=False, **options)
    assert scratch.settings == pretrained.settings
    assert scratch.front_end == pretrained.front_end
    stored = model_file.load(corpus.init)[0]
    assert torch.equal(pretrained.module.state_dict()["blocks.0.mlp.fc1.weight"], stored["blocks.0.mlp.fc1.weight"])
    assert not torch.equal(scratch.module.state_dict()["blocks.0.mlp.fc1.weight"], stored["blocks.0.mlp.fc1.weight"])


def test_other_crop_length_interpolates_the_positions_once(corpus):
    longer = load_backbone(corpus.init, from_scratch=False, drop_path=None, crop_frames=48)
    usual = load_backbone(corpus.init, from_scratch=False, drop_path=None, crop_frames=0)
    x = torch.randn(2, 1, 48, 8)
    longer.module.eval(), usual.module.eval()
    with torch.no_grad():
        torch.testing.assert_close(longer.module(x).cls, usual.module(x).cls)


def test_evaluation_refuses_another_front_end(corpus, trained, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for name in ("utt2spk", "utt2label", "feats.scp", "utt2num_frames", "labels.txt"):
        (wrong / name).write_bytes((corpus.root / "data" / "test" / name).read_bytes())
    (wrong / "conf").mkdir()
    (wrong / "conf" / "fbank.yaml").write_text("num_mel_bins: 8\nwindow: povey\n")
    with pytest.raises(AsitError, match="'window': expected hanning, found povey"):
        evaluate(dataclasses.replace(corpus.evaluate_settings(trained), data_dir=str(wrong)))


def test_clips_without_features_are_counted_listed_and_limited(corpus, trained, tmp_path):
    short = tmp_path / "short"
    short.mkdir()
    for name in ("utt2spk", "utt2label", "labels.txt"):
        (short / name).write_bytes((corpus.root / "data" / "test" / name).read_bytes())
    for name in ("feats.scp", "utt2num_frames"):
        lines = (corpus.root / "data" / "test" / name).read_text().splitlines(keepends=True)
        (short / name).write_text("".join(lines[1:]))
    (short / "conf").mkdir()
    (short / "conf" / "fbank.yaml").write_bytes((corpus.root / "data" / "test" / "conf" / "fbank.yaml").read_bytes())
    settings = dataclasses.replace(
        corpus.evaluate_settings(trained), data_dir=str(short), out_dir=str(tmp_path / "out")
    )
    result = evaluate(settings)
    assert (result.clips, result.expected) == (23, 24)
    assert (tmp_path / "out" / "missing").read_text() == "spk0-000\n"
    with pytest.raises(AsitError, match=r"1 of 24 utterances .* the first is spk0-000"):
        evaluate(dataclasses.replace(settings, clips=ClipSettings(max_missing=0.0)))
    (short / "missing_utts").write_text("spk0-000 no audio\nyoutube-1 no audio\n")  # the second is not in utt2label
    (short / "failed_utts").write_text("youtube-2 truncated\n")
    result = evaluate(settings)
    assert (result.clips, result.expected) == (23, 26)
    assert (tmp_path / "out" / "missing").read_text() == "spk0-000\nyoutube-1\nyoutube-2\n"


def test_prediction_reads_standard_input_pipes_and_names_of_any_bytes(trained, tmp_path, monkeypatch):
    name = os.path.join(os.fsencode(tmp_path), b"caf\xe9.wav")
    with open(name, "wb") as stream:
        soundfile.write(stream, 0.1 * np.sin(np.arange(16000) * 0.3), 8000, format="WAV")
    content = Path(os.fsdecode(name)).read_bytes()
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,), daemon=True).start()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    paths, model = ("-", str(tmp_path / "pipe")), str(trained / "model.safetensors")
    lines = [line.split("\t") for line in predict(PredictSettings(model=model, wav=paths, top_k=1))]
    assert [line[0] for line in lines] == list(paths)
    assert lines[0][1:] == lines[1][1:], "the same recording"
    # A name that is not UTF-8 stays out of this process: its log would not travel between pytest's processes.
    command = [sys.executable, "-m", "asit.bin.predict", "--model", model, "--wav", os.fsdecode(name), "--top-k", "1"]
    shown = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"}).stdout
    assert shown.startswith(name + b"\t1\t")


def test_prediction_says_of_a_short_recording_what_its_user_can_do(trained, tmp_path):
    soundfile.write(tmp_path / "click.wav", np.ones(20) * 0.1, 8000)
    settings = PredictSettings(model=str(trained / "model.safetensors"), wav=(str(tmp_path / "click.wav"),))
    with pytest.raises(
        AsitError, match=r"click\.wav: expected at least \d+ samples .*leave the recording out"
    ) as found:
        list(predict(settings))
    assert "snip_edges" not in str(found.value)


def test_prediction_works_from_audio_of_any_rate(corpus, trained, tmp_path, caplog):
    rng = np.random.default_rng(0)
    paths = [str(tmp_path / "a b.wav"), str(tmp_path / "c.flac")]
    soundfile.write(paths[0], 0.1 * rng.normal(size=16000), 16000)
    soundfile.write(paths[1], 0.1 * rng.normal(size=12000), 8000)
    settings = PredictSettings(model=str(trained / "model.safetensors"), wav=tuple(paths), top_k=2)
    with caplog.at_level(logging.INFO):
        lines = [line.split("\t") for line in predict(settings)]
    assert [(line[0], line[1]) for line in lines] == [(p, r) for p in paths for r in ("1", "2")]
    assert all(line[2] in ("alfa", "bravo", "charlie") for line in lines)
    assert "c.flac: resampled from 8000 Hz" in caplog.text
    assert "a b.wav" not in caplog.text


def test_embeddings_of_model_and_backbone(corpus, trained, tmp_path):
    for name, path in (("model", str(trained / "model.safetensors")), ("backbone", corpus.init)):
        count = embed(EmbedSettings(model=path, data_dir=corpus.path("test"), out_dir=str(tmp_path / name)))
        assert count == 24
        scp = read_table(tmp_path / name / "embeddings.scp")
        assert all(read_vector(spec).shape == (24,) for spec in scp.values())


def test_baseline_has_the_form_of_an_evaluation(corpus, tmp_path):
    settings = BaselineSettings(
        train_dir=corpus.path("train"),
        valid_dir=corpus.path("valid"),
        test_dir=corpus.path("test"),
        out_dir=str(tmp_path),
        tags=("task=t", "labels=all"),
    )
    result = baseline(settings)
    assert result.value > 0.8
    assert record.load(tmp_path / "metrics.json") == result
    assert result.trivial == {"chance": pytest.approx(1 / 3), "majority": pytest.approx(1 / 3)}
    assert result.tags["system"] == "log-mel statistics + logistic regression"
    assert len(read_table(tmp_path / "predictions")) == 24


def test_wrong_kinds_of_file_are_named(corpus, trained):
    with pytest.raises(AsitError, match="expected a file of kind 'classifier', found 'backbone'"):
        load_model(corpus.init)
    heads = trained.parent / "backbone.heads.safetensors"
    model_file.save(heads, {}, {"kind": "heads"})
    with pytest.raises(AsitError, match="expected a file of kind 'backbone', found 'heads'"):
        load_backbone(str(heads), from_scratch=False, drop_path=None, crop_frames=0)


def test_a_fine_tuned_model_is_fine_tuned_further(corpus, trained, tmp_path):
    """Its backbone goes on, its head does not; the new model tells of both."""
    first = str(trained / "model.safetensors")
    settings = corpus.finetune_settings(tmp_path / "further", head=HeadSettings(freeze_backbone=True))
    finetune(dataclasses.replace(settings, init=first))
    before, after = (model_file.load(path)[0] for path in (first, tmp_path / "further/model.safetensors"))
    of_backbone = [name for name in before if name.startswith("backbone.")]
    assert len(of_backbone) > 20
    assert all(torch.equal(before[name], after[name]) for name in of_backbone)
    assert not torch.equal(before["head.weight"], after["head.weight"])
    facts = model_file.load_metadata(tmp_path / "further/model.safetensors")
    assert facts["pretraining"]["fine_tuned"] == "classification"


def test_class_weights_make_classes_equally_frequent():
    targets = np.array([0, 0, 0, 1, 2, 2])
    weights = class_weights(targets)
    assert np.allclose([weights[targets == c].sum() for c in range(3)], 1.0)
    for none in (1, 3):  # clips without a tag are drawn as often as those of a tag, however many there are
        rows = [[0], [0, 1], *[[]] * none]
        assert class_weights(MultiHot.of_rows(rows, classes=2))[2:].sum() == pytest.approx(1.0)


def test_an_interrupted_run_ends_as_an_uninterrupted_one(corpus, trained, tmp_path, monkeypatch):
    out = tmp_path / "resumed"
    settings = corpus.finetune_settings(out, tags=("labels=all",))
    settings = dataclasses.replace(settings, train=dataclasses.replace(settings.train, save=(0.0, 20.0)))
    update = Loop._update

    def killed_at_45(loop, *arguments):
        if loop.step == 45:
            raise KeyboardInterrupt
        return update(loop, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_update", killed_at_45)
        with pytest.raises(KeyboardInterrupt):
            finetune(settings)
    assert not (out / "model.safetensors").exists()
    finetune(settings)
    (expected, facts), (found, resumed) = (model_file.load(d / "model.safetensors") for d in (trained, out))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert facts["kept_step"] == resumed["kept_step"]


def test_tagging_runs_from_training_to_metrics(corpus, tmp_path):
    task = Chosen("tagging", tagging.Settings())
    settings = corpus.finetune_settings(tmp_path / "tags", task=task)
    finetune(dataclasses.replace(settings, train=dataclasses.replace(settings.train, steps=30)))
    result = evaluate(dataclasses.replace(corpus.evaluate_settings(tmp_path / "tags"), ngpu=0))
    assert result.metric == "mAP"
    assert result.value > 0.6  # chance: 1/3
    paths = {f"{name}_dir": corpus.path(name) for name in ("train", "valid", "test")}
    assert baseline(BaselineSettings(**paths, out_dir=str(tmp_path / "base"), task=task)).value > 0.6
    assert not (tmp_path / "base" / "confusion.png").exists()


def test_statistics_of_the_training_set_instead_of_the_backbones(corpus, tmp_path):
    """They are what the network sees in training and scoring; without the option the backbone's are."""
    own = Stats(mean=-5.0, std=3.0, frames=100)
    with pytest.raises(AsitError, match=r"train/stats\.yaml"):
        finetune(corpus.finetune_settings(tmp_path / "none", train_stats=True))
    own.save(f"{corpus.path('train')}/stats.yaml")
    try:
        finetune(corpus.finetune_settings(tmp_path / "own", train_stats=True))
    finally:
        os.unlink(f"{corpus.path('train')}/stats.yaml")
    assert load_model(str(tmp_path / "own/model.safetensors")).front_end.stats == own
    seen = json.loads((tmp_path / "own/done.json").read_text())["identity"]
    assert seen["train_stats"] is True
