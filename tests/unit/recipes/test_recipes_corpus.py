"""Corpora that need no script of their own: class folders and CSV files."""

from __future__ import annotations

import random

import numpy as np
import pytest
import soundfile

from asit.errors import AsitError
from asit.io.data_dir import DataDir
from asit.io.data_dir_validate import Checks, validate
from asit.recipes.corpus import Recording, read_corpus, sets_of, split_by_itself, write_sets


@pytest.fixture
def clip(tmp_path):
    def make(name: str) -> str:
        path = tmp_path / "my corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(1600, dtype=np.float32), 16000)
        return str(path)

    return make


def table(tmp_path, text: str, name: str = "clips.csv") -> str:
    path = tmp_path / "my corpus" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return str(path)


def names(sets):
    return {name: sorted(r.utt for r in rows) for name, rows in sets.items()}


def test_class_folders_are_split_by_themselves(tmp_path, clip) -> None:
    for label in ("a dog", "cat"):
        for i in range(20):
            clip(f"{label}/{'deep/' * (i % 2)}take {i}.wav")
    found = read_corpus(str(tmp_path / "my corpus"))
    sets = sets_of(found)
    assert {name: len(rows) for name, rows in sets.items()} == {"pool": 32, "train": 32, "valid": 4, "test": 4}
    for rows in sets.values():
        labels = [r.labels[0] for r in rows]
        assert labels.count("a_dog") == labels.count("cat")
    assert "a_dog-deep-take_1" in {r.utt for r in found}


def test_the_split_depends_on_names_alone(tmp_path) -> None:
    rows = [Recording(f"/x/{i}.wav", (f"l{i % 3}",), name=str(i)) for i in range(60)]
    first = split_by_itself(rows, "x")
    shuffled = random.Random(0).sample(rows, len(rows))
    assert {r.name: r.split for r in first} == {r.name: r.split for r in split_by_itself(shuffled, "x")}


def test_set_folders(tmp_path, clip) -> None:
    for name in ("train/a/1.wav", "train/b/1.wav", "test/a/1.wav", "noisy/b/1.wav", "pool/any/1.wav", "valid/a/9.flac"):
        clip(name)
    sets = names(sets_of(read_corpus(str(tmp_path / "my corpus"))))
    assert sets["pool"] == ["pool-any-1", "train-a-1", "train-b-1"]
    assert sets["noisy"] == ["noisy-b-1"]
    assert set(sets) == {"pool", "train", "valid", "test", "noisy"}


def test_csv_with_everything(tmp_path, clip) -> None:
    for name in "abcde":
        clip(f"{name}.wav")
    text = (
        "path,label,speaker,split\na.wav,x;y,s1,train\nb.wav,y,s2,train\nc.wav,x,s3,valid\nd.wav,y,s3,test\ne.wav,,,\n"
    )
    counts = write_sets(read_corpus(table(tmp_path, text)), str(tmp_path / "data"))
    assert counts == {"pool": 3, "train": 2, "valid": 1, "test": 1}
    train = DataDir(str(tmp_path / "data/train"))
    assert dict(train.table("utt2label")) == {"s1-a": "x,y", "s2-b": "y"}
    assert train.utt2spk["s1-a"] == "s1"
    for name in ("all", *counts):
        validate(str(tmp_path / "data" / name), Checks())
    for name in ("train", "valid", "test"):
        assert (tmp_path / "data" / name / "labels.txt").read_text() == "x 0\ny 1\n"


def test_speakers_are_kept_whole(tmp_path, clip) -> None:
    text = "path\tlabel\tspeaker\n"
    for i in range(40):
        clip(f"{i}.wav")
        text += f"{i}.wav\tw{i % 2}\ts{i // 4}\n"
    sets = sets_of(read_corpus(table(tmp_path, text, "clips.tsv")))
    speakers = [{r.speaker for r in sets[name]} for name in ("train", "valid", "test")]
    assert [len(s) for s in speakers] == [8, 1, 1]
    assert not speakers[0] & speakers[1] | speakers[1] & speakers[2]


def test_speakers_as_labels_are_not(tmp_path, clip) -> None:
    text = "path,label,speaker\n"
    for i in range(30):
        clip(f"{i}.wav")
        text += f"{i}.wav,s{i % 3},s{i % 3}\n"
    sets = sets_of(read_corpus(table(tmp_path, text)))
    assert {r.speaker for r in sets["test"]} == {"s0", "s1", "s2"}


def test_folds(tmp_path, clip) -> None:
    text = "path,label,fold\n"
    for i in range(6):
        clip(f"{i}.wav")
        text += f"{i}.wav,{'ab'[i // 3]},{i % 3}\n"
    sets = names(sets_of(read_corpus(table(tmp_path, text))))
    assert sets["test_fold1"] == ["1", "4"]
    assert sets["train_fold1"] == sets["pool_fold1"] == ["0", "2", "3", "5"]
    assert len(sets) == 9


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path,lable\na.wav,x\n", r"clips.csv:1: unknown column 'lable'.*label"),
        ("path,speaker\na.wav,x\n", r"clips.csv:1: expected a header with the column 'label'"),
        ("path,label\nz.wav,x\n", r"clips.csv:2: .*z.wav: no such file"),
        ("path,label\na.wav\n", r"clips.csv:2: expected 2 fields"),
        ('path,label\na.wav,"x,y"\n', r"clips.csv:2: expected a label without commas, found 'x,y'"),
        ("path,label\na.wav,\n", r"expected recordings with labels, found none"),
        ("path,label,split\na.wav,x,train\nb.wav,x,\n", r"b.wav has a label but no split"),
        ("path,label,split,fold\na.wav,x,train,1\n", r"has a split and a fold"),
        ("path,label\na.wav,x\nb.wav,x\n", r"2 clips of 'x' cannot be split"),
        ("path,label,split\na.wav,x,train\nb.wav,y,test\n", r"label 'y' of set test is in no training set"),
        ("path,label,split\na.wav,x,train\na.wav,x,test\n", r"both get the utterance id 'a'"),
    ],
)
def test_what_is_refused(tmp_path, clip, text, expected) -> None:
    for name in "ab":
        clip(f"{name}.wav")
    with pytest.raises(AsitError, match=expected):
        write_sets(read_corpus(table(tmp_path, text)), str(tmp_path / "data"))


def test_folders_that_are_refused(tmp_path, clip) -> None:
    with pytest.raises(AsitError, match="no such corpus"):
        read_corpus(str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(AsitError, match="found none"):
        read_corpus(str(tmp_path / "empty"))
    clip("loose.wav")
    with pytest.raises(AsitError, match=r"loose.wav: expected .*<label>/<recording>"):
        read_corpus(str(tmp_path / "my corpus"))
