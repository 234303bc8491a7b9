"""Detection from fine-tuning to scores and files, on synthetic utterances in which every class is a tone."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from runs_helpers import MEAN, MELS, STD, build_corpus

import asit
from asit.config import Chosen, from_dict
from asit.data.annotations import Annotations
from asit.errors import AsitError
from asit.kaldi.ark import ArkWriter
from asit.kaldi.data_dir import DataDir, read_labels, write_data_dir
from asit.kaldi.data_dir_validate import Checks, find_problems
from asit.kaldi.events import Event, read_events, write_events
from asit.kaldi.table import write_table
from asit.models.trained import load_model
from asit.recipes import record
from asit.recipes.event_labels import Settings as ImportSettings
from asit.recipes.event_labels import import_events
from asit.runs import baseline, detection
from asit.runs.detect import Settings as DetectSettings
from asit.runs.detect import detect
from asit.runs.evaluate import evaluate
from asit.runs.finetune import finetune
from asit.runs.info import description
from asit.runs.predict import Settings as PredictSettings
from asit.runs.predict import predict
from asit.tasks import sed
from asit.tasks.sed import EventSettings

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from small_models import make_detector

LABELS = ["high", "low", "mid"]


def write_heard(root, name, count, seed):
    """Utterances of 60 to 120 frames with up to three events that raise the bin of their class."""
    rng = np.random.default_rng(seed)
    folder, events, lengths = root / "data" / name, {}, {}
    with ArkWriter(folder / "raw.ark", folder / "raw.scp") as writer:
        for utt in sorted(f"spk{i % 3}-{i:03d}" for i in range(count)):
            frames = int(rng.integers(60, 120))
            x = rng.normal(MEAN, STD, (frames, MELS))
            events[utt], lengths[utt] = [], str(frames)
            for k in rng.choice(3, int(rng.integers(0, 4)), replace=False):
                start = int(rng.integers(0, frames - 30))
                end = start + int(rng.integers(20, 30))
                x[start:end, 2 * k] += 4 * STD
                events[utt].append(Event(start / 100, end / 100, LABELS[k]))
            writer.write(utt, x.astype(np.float32))
    write_data_dir(folder, {"utt2spk": {utt: utt[:4] for utt in events}})
    write_events(folder / "events", events)
    (folder / "raw.scp").rename(folder / "feats.scp")
    write_table(folder / "utt2num_frames", lengths)
    (folder / "labels.txt").write_text("".join(f"{label} {i}\n" for i, label in enumerate(LABELS)))
    (folder / "conf").mkdir()
    (folder / "conf/fbank.yaml").write_text((root / "data/valid/conf/fbank.yaml").read_text())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("a corpus")
    made = build_corpus(root)
    for name, count, seed in (("train_events", 60, 0), ("valid_events", 12, 1), ("test_events", 24, 2)):
        write_heard(root, name, count, seed)
    return made


def settings(corpus, out, **options):
    sets = {"train_dir": corpus.path("train_events"), "valid_dir": corpus.path("valid_events")}
    made = corpus.finetune_settings(out, task=Chosen("sed", from_dict(sed.Settings, {"segment": 0.1, "collar": 0.06})))
    train = dataclasses.replace(made.train, steps=120)
    return dataclasses.replace(made, train=train, **{"eval_every": 40, **sets, **options})


@pytest.fixture(scope="module")
def trained(corpus):
    out = corpus.root / "exp/sed"
    finetune(settings(corpus, out))
    return out


def score(corpus, trained, **options):
    made = dataclasses.replace(corpus.evaluate_settings(trained), data_dir=corpus.path("test_events"))
    return evaluate(dataclasses.replace(made, **options))


def test_it_learns_and_the_files_agree(corpus, trained):
    result = score(corpus, trained)
    assert result.metric == "event_f1"
    assert result.value > 0.8
    assert result.metrics["segment_f1"] > 0.8
    assert (result.clips, result.expected, result.train_clips) == (24, 24, 60)
    for name, (low, high) in result.intervals.items():
        assert low <= result.metrics[name] <= high
    assert record.load(trained / "test/metrics.json") == result
    there = read_events(f"{corpus.path('test_events')}/events", LABELS)
    found = read_events(trained / "test/events", LABELS)
    assert list(found) == list(there)
    for name in ("per_class", "per_utterance"):
        with (trained / f"test/{name}.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        right, false, missed = (sum(int(row[kind]) for row in rows) for kind in ("right", "false_alarms", "missed"))
        assert 2 * right / (2 * right + false + missed) == pytest.approx(result.value)
        assert right + missed == sum(map(len, there.values()))
        assert right + false == sum(map(len, found.values()))
    assert [row["utt"] for row in rows] == list(there)


def test_found_events_make_a_valid_data_directory(corpus, trained, tmp_path):
    score(corpus, trained)
    utt2spk = DataDir(corpus.path("test_events")).utt2spk
    events = DataDir(str(trained / "test")).table("events")
    write_data_dir(tmp_path / "d", {"utt2spk": utt2spk, "events": events})
    (tmp_path / "d/labels.txt").write_text((corpus.root / "data/test_events/labels.txt").read_text())
    assert find_problems(tmp_path / "d", Checks(require_wav=False, require_events=True)) == []


def test_the_threshold_is_the_best_one_on_the_validation_set(corpus, trained):
    model = load_model(str(trained / "model.safetensors"))
    kept, network = float(model.classifier.threshold), model.classifier
    data = Annotations(corpus.path("valid_events"), model.front_end.stats, LABELS)
    best = detection.validate(network, model.task, data, model.front_end)["event_f1"]
    assert float(network.threshold) == kept
    assert best == pytest.approx(model.metadata["valid"]["event_f1"])
    tried = [
        model.task.measure(detection.events(network, model.task, data.whole(), model.front_end, made), data.events)
        for made in map(EventSettings, sed.THRESHOLDS)
    ]
    assert max(values["event_f1"] for values in tried) == best
    assert min(values["event_f1"] for values in tried) < best
    model.task.settings = sed.Settings(events=EventSettings(event_threshold=0.65), scoring=model.task.settings.scoring)
    detection.validate(network, model.task, data, model.front_end)
    assert float(network.threshold) == pytest.approx(0.65)


def test_validation_cuts_events_at_the_end_as_evaluation_does(detector):
    """Everything is heard in steps of four frames; utterances of five frames, and one of six."""
    model = load_model(detector)
    torch.nn.init.zeros_(model.classifier.head.weight)
    torch.nn.init.ones_(model.classifier.head.bias)
    scoring = dataclasses.replace(model.task.settings.scoring, collar=0.015)
    model.task.settings = sed.Settings(events=EventSettings(event_threshold=0.5), scoring=scoring)
    feats = [np.zeros((length, 64), np.float32) for length in (5, 6, 5)]
    events = [[Event(0.0, len(one) / 100, label) for label in LABELS] for one in feats]
    data = SimpleNamespace(whole=lambda: iter(feats), events=events, lengths=np.array(list(map(len, feats))))
    found = detection.events(model.classifier, model.task, feats, model.front_end)
    assert model.task.measure(found, events)["event_f1"] == 1.0
    assert detection.validate(model.classifier, model.task, data, model.front_end)["event_f1"] == 1.0


@pytest.mark.parametrize(("name", "says"), [("train", "train on"), ("valid", "select weights and threshold by")])
def test_sets_in_which_nothing_happens_are_refused_before_training(corpus, tmp_path, name, says):
    silent = tmp_path / "silent"
    shutil.copytree(corpus.path("valid_events"), silent)
    utts = DataDir(str(silent)).utts
    write_events(silent / "events", dict.fromkeys(utts, ()))
    with pytest.raises(AsitError, match=rf"silent/events: expected events to {says}, found none in 12 utterances"):
        finetune(settings(corpus, tmp_path / "x", **{f"{name}_dir": str(silent)}))
    write_events(silent / "events", {**dict.fromkeys(utts, ()), utts[0]: [Event(0.0, 0.2, "low")]})
    finetune(settings(corpus, tmp_path / "x", eval_every=0, **{f"{name}_dir": str(silent)}))


def test_a_command_chooses_another_threshold(corpus, trained, tmp_path):
    score(corpus, trained, out_dir=str(tmp_path), events=EventSettings(event_threshold=0.999999))
    assert not any(read_events(tmp_path / "events", LABELS).values())


def test_a_model_that_was_trained_to_something_else(corpus, trained, tmp_path):
    made = {name: corpus.path(f"{name.partition('_')[0]}_events") for name in ("train_dir", "test_dir")}
    wanted = baseline.Settings(out_dir=str(tmp_path / "b"), task=Chosen("sed", sed.Settings()), **made)
    with pytest.raises(AsitError, match="task 'sed': expected one that labels clips, this one learns from events"):
        baseline.baseline(wanted)
    with pytest.raises(AsitError, match="option 'balance_classes': task 'sed' has no use for it; leave it False"):
        finetune(settings(corpus, tmp_path / "x", balance_classes=True))
    with pytest.raises(AsitError, match="data/train/events: no such file"):
        finetune(settings(corpus, tmp_path / "y", train_dir=corpus.path("train")))


# Straight from audio


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return make_detector(tmp_path_factory.mktemp("model") / "model.safetensors")


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    rng = np.random.default_rng(1)
    for name, seconds, rate, channels in (
        ("a b.wav", 0.7, 16000, 1),
        ("c.flac", 9.3, 44100, 2),
        ("d.ogg", 2.0, 8000, 1),
    ):
        level = np.repeat(rng.uniform(0.01, 0.3, int(seconds * 10)), rate // 10)[:, None]
        soundfile.write(folder / name, level * rng.standard_normal((len(level), channels)).clip(-1, 1), rate)
    return folder


def lines(detector, *wav, **options):
    return list(detect(DetectSettings(model=detector, wav=tuple(map(str, wav)), **options)))


def test_any_audio_in_every_form(detector, audio):
    model, files = asit.load(detector), sorted(audio.iterdir())
    found = model.events([str(path) for path in files])
    assert all(found)
    (wave, rate), frames = soundfile.read(files[1]), len(model.features(files[1]))
    assert model.events(wave, rate=rate) == found[1] == model.events(files[1])
    assert all(0 <= e.start < e.end <= frames / 100 and 0 < e.probability <= 1 for e in found[1])
    assert len(model.events(files[1], threshold=0.9)) != len(found[1])
    rows = [
        [str(path), f"{e.start:.3f}", f"{e.end:.3f}", e.label, f"{e.probability:.6f}"]
        for path, events in zip(files, found, strict=True)
        for e in events
    ]
    assert lines(detector, audio) == ["\t".join(row) for row in rows]
    table = list(csv.reader(io.StringIO("\n".join(lines(detector, audio, format="csv")))))
    assert table == [["recording", "start", "end", "class", "probability"], *rows]
    of_c = [row[1:4] for row in rows if row[0] == str(files[1])]
    assert lines(detector, files[1], format="audacity") == ["\t".join(row) for row in of_c]
    assert lines(detector, files[1], format="events") == [f"{files[1]} {' '.join(row)}" for row in of_c]
    assert lines(detector, files[1], format="events", events=EventSettings(event_threshold=0.9999)) == [f"{files[1]} -"]
    found_json = json.loads(lines(detector, files[2], format="jsonl")[0])
    assert (found_json["recording"], found_json["seconds"]) == (str(files[2]), 2.0)
    assert [event["class"] for event in found_json["events"]] == [event.label for event in found[2]]


def test_what_a_form_cannot_hold_and_models_of_another_kind(detector, audio, tmp_path):
    with pytest.raises(AsitError, match=r"--format audacity: expected one recording, found 3.*--format csv"):
        lines(detector, audio, format="audacity")
    with pytest.raises(AsitError, match=r"a b\.wav: white space in a name, which Kaldi's events cannot hold"):
        lines(detector, audio / "a b.wav", format="events")
    shutil.copy(audio / "c.flac", tmp_path / "c\tx.flac")
    with pytest.raises(
        AsitError, match=r"a tab or line break in a name, which a line of tsv cannot hold.*--format jsonl"
    ):
        lines(detector, tmp_path)
    assert len(lines(detector, tmp_path, format="jsonl")) == 1
    with pytest.raises(AsitError, match="asit-tiny: not trained on events; give a model of asit-finetune --task sed"):
        lines("asit-tiny", audio / "c.flac")
    with pytest.raises(AsitError, match=r"trained on events, which have times; asit-detect or events\(\) gives them"):
        list(predict(PredictSettings(model=detector, wav=(str(audio / "c.flac"),), format="csv")))
    facts = description(detector)
    assert (facts["kind"], facts["classes"]) == ("fine-tuned, task sed", "3: high, low, mid")
    failed: list[str] = []
    wanted = DetectSettings(model=detector, wav=(__file__, str(audio / "d.ogg")))
    assert len(list(detect(wanted, failed))) > 0
    assert __file__ in failed[0]


# Events of others


@pytest.fixture
def unlabelled(tmp_path):
    utts = dict.fromkeys(["c", "d", "e"], "s")
    return DataDir(str(write_data_dir(tmp_path / "d", {"utt2spk": utts}).path))


def test_what_was_detected_can_be_learned_from(detector, audio, unlabelled, tmp_path):
    files = [audio / "c.flac", audio / "d.ogg"]
    (tmp_path / "found.csv").write_text("\n".join(lines(detector, *files, format="csv")) + "\n")
    (tmp_path / "tracks").mkdir()
    for path in files:
        (tmp_path / f"tracks/{path.stem}.txt").write_text("\n".join(lines(detector, path, format="audacity")) + "\n")
    (tmp_path / "tracks/e.txt").write_text("")
    expected = {}
    for source, more in (("found.csv", {"others_silent": True}), ("tracks", {})):
        made = import_events(ImportSettings(source=str(tmp_path / source), data_dir=unlabelled.path, **more))
        events = read_events(unlabelled.file("events"), unlabelled.labels)
        assert events == {utt: tuple(sorted(some)) for utt, some in made.items()}
        assert expected in ({}, events)
        expected = events
    assert expected["e"] == ()
    found = asit.load(detector).events(str(files[0]))
    assert [event.label for event in expected["c"]] == [event.label for event in found]
    assert np.allclose([e[:2] for e in expected["c"]], [e[:2] for e in found], atol=6e-4)
    assert find_problems(unlabelled.path, Checks(require_wav=False, require_events=True)) == []


def test_dcase_tables_and_given_classes(unlabelled, tmp_path):
    table = "filename\tonset\toffset\tevent_label\nc.wav\t0.5\t1.5\tbig dog\nd.wav\t\t\t\nx/e.wav\t0\t1\tcat\n"
    (tmp_path / "dcase.tsv").write_text(table)
    (tmp_path / "classes").write_text("owl 0\nbig_dog 1\ncat 2\n")
    wanted = ImportSettings(
        source=str(tmp_path / "dcase.tsv"), data_dir=unlabelled.path, labels=str(tmp_path / "classes")
    )
    assert import_events(wanted) == {"c": [Event(0.5, 1.5, "big_dog")], "d": [], "e": [Event(0.0, 1.0, "cat")]}
    assert list(read_labels(unlabelled.file("labels.txt"))) == ["owl", "big_dog", "cat"]
    (tmp_path / "classes").write_text("owl 0\ncat 1\n")
    with pytest.raises(AsitError, match=r"dcase\.tsv:2: class 'big_dog' is not in .*classes: known: cat, owl"):
        import_events(wanted)


HEAD = "recording,start,end,class\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "c,0,1,a\nx,0,1,a\n", r"t\.csv:3: recording 'x' is no utterance of .*utt2spk: known: c, d, e"),
        (HEAD + "c,1,1,a\n", r"t\.csv:2: expected 0 <= start < end in seconds, found 1 and 1"),
        (HEAD + "c,0,1,a\nd,0,1,a\nc,0.0,1,a\ne,,,\n", r"t\.csv:4: a from 0 to 1 is there already; remove one"),
        (
            HEAD + "c,,,\nc,0,1,a\nd,,,\ne,,,\n",
            r"t\.csv:2: says that nothing happens in 'c', and others have its events",
        ),
        (HEAD + "c,0,1\n", r"t\.csv:2: expected 4 fields as in the header, found 3"),
        (HEAD + "c,0,1,a\n", r"t\.csv: utterance 'd' of .* is not in it \(2 of 3\); add it, or .*--others-silent true"),
        (HEAD + "c,,,\nd,,,\ne,,,\n", r"t\.csv: expected at least one event, found none"),
        (
            "recording,start,class\n",
            r"t\.csv:1: expected one column 'end' \(or offset\), found recording, start, class",
        ),
    ],
)
def test_tables_that_say_nothing_are_refused(unlabelled, tmp_path, text, says):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(AsitError, match=says):
        import_events(ImportSettings(source=str(tmp_path / "t.csv"), data_dir=unlabelled.path))
    assert not unlabelled.has("events")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt"])
def test_the_header_tells_what_separates_columns(unlabelled, tmp_path, delimiter, name):
    rows = (HEAD + "c,0,1.5,a\nd,,,\ne,0,1,b\n").replace(",", delimiter)
    (tmp_path / name).write_text(rows, encoding="utf-8-sig")
    made = import_events(ImportSettings(source=str(tmp_path / name), data_dir=unlabelled.path))
    assert made == {"c": [Event(0.0, 1.5, "a")], "d": [], "e": [Event(0.0, 1.0, "b")]}


def test_labels_of_clips_are_not_overwritten(unlabelled, tmp_path):
    (tmp_path / "t.csv").write_text(HEAD + "c,0,1,a\nd,,,\ne,,,\n")
    wanted = ImportSettings(source=str(tmp_path / "t.csv"), data_dir=unlabelled.path)
    write_table(unlabelled.file("utt2label"), {"c": "x", "d": "-", "e": "x"})
    Path(unlabelled.file("labels.txt")).write_text("x 0\n")
    with pytest.raises(AsitError, match=r"labels\.txt: utt2label needs its label 'x' .*; give --labels"):
        import_events(wanted)
    assert list(read_labels(unlabelled.file("labels.txt"))) == ["x"]
    assert not unlabelled.has("events")
    (tmp_path / "both").write_text("x 0\na 1\n")  # the remedy
    import_events(dataclasses.replace(wanted, labels=str(tmp_path / "both")))
    assert find_problems(unlabelled.path, Checks(require_wav=False, require_events=True, require_labels=True)) == []


def test_label_tracks_of_windows_editors(unlabelled, tmp_path):
    (tmp_path / "tracks").mkdir()
    (tmp_path / "tracks/c.txt").write_bytes("\ufeff0.5\t1.0\tbig dog\r\n\\\t100\t900\r\n".encode())
    (tmp_path / "tracks/d.txt").write_bytes("\ufeff\r\n".encode())
    wanted = ImportSettings(source=str(tmp_path / "tracks"), data_dir=unlabelled.path, others_silent=True)
    assert import_events(wanted) == {"c": [Event(0.5, 1.0, "big_dog")], "d": [], "e": []}


def test_label_tracks_that_are_none(unlabelled, tmp_path):
    (tmp_path / "tracks").mkdir()
    wanted = ImportSettings(source=str(tmp_path / "tracks"), data_dir=unlabelled.path, others_silent=True)
    with pytest.raises(AsitError, match=r"tracks: expected label tracks, <utt>\.txt, found none"):
        import_events(wanted)
    (tmp_path / "tracks/c.txt").write_text("0.1\t0.5\tdog\n\\\t100\t900\n0.6 0.7 dog\n")
    with pytest.raises(
        AsitError, match=r"c\.txt:3: expected start, end and label, separated by tabs, found '0\.6 0\.7 d"
    ):
        import_events(wanted)
    (tmp_path / "tracks/c.txt").write_text("0.1\t0.1\tdog\n")
    with pytest.raises(
        AsitError, match=r"c\.txt:1: a label of a point, 0\.1 s, which has no duration; select in Audacity"
    ):
        import_events(wanted)
