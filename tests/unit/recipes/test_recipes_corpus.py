"""Corpora that need no script of their own: class folders and CSV files."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asit.errors import AsitError
from asit.kaldi.data_dir import DataDir
from asit.kaldi.data_dir_validate import Checks, validate
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
        ('path,label\na.wav,"x,y"\n', r"clips.csv:2: label 'x,y': .* holds a comma.*separated by ';'"),
        ("path,label\na.wav,x;x\n", r"clips.csv:2: label 'x' is given twice"),
        ("path,label\na.wav,x;-\n", r"clips.csv:2: label '-': .*none of the labels"),
        ("path,label\na.wav,a b\nb.wav,a_b\n", r"clips.csv:3: 'a_b' and 'a b' both become the label 'a_b'"),
        ('path,label\na.wav,"x\nb.wav,y\n', r"clips.csv:2: expected a row of CSV, found .*a quote that is open"),
        ("path,label\n,x\n", r"clips.csv:2: the path is empty"),
        ("path,path,label\na.wav,a.wav,x\n", r"clips.csv:1: column 'path' is there twice"),
        ("", r"clips.csv:1: expected a header with the column 'path', found none"),
        ("path,label\na.wav,\n", r"expected recordings with labels, found none"),
        ("path,label,split\na.wav,x,train\nb.wav,x,\n", r"b.wav has a label but no split"),
        ("path,label,split,fold\na.wav,x,train,1\n", r"has a split and a fold"),
        ("path,label\na.wav,x\nb.wav,y\n", r"1 clips of 'x' cannot be split"),
        ("path,label\na.wav,x\nb.wav,x\n", r"expected at least two classes, found x"),
        ("path,label\na.wav,x\nb.wav,\n", r"expected at least two classes, found x"),
        ("path,label,split\na.wav,x,valid\nb.wav,y,test\n", r"sets test, valid: expected one to train on"),
        ("path,label,split\na.wav,x,train\nb.wav,y,dev\n", r"sets train, valid: expected one to score"),
        ("path,label,split\na.wav,x,val\nb.wav,y,dev\n", r"'dev' and 'val' both mean the set valid"),
        ("path,label,split\na.wav,x,train\nb.wav,,test\n", r"b.wav of set test has no label"),
        ("path,label,split\na.wav,x,train\nb.wav,y,test\n", r"label 'y' of set test is in no training set"),
        (
            "path,label,split\na.wav,x,train\na.wav,x,test\n",
            r"clips.csv:3: .*a.wav is on line 2 already; give each clip one",
        ),
    ],
)
def test_what_is_refused(tmp_path, clip, text, expected) -> None:
    for name in "ab":
        clip(f"{name}.wav")
    with pytest.raises(AsitError, match=expected):
        write_sets(read_corpus(table(tmp_path, text)), str(tmp_path / "data"))
    assert not (tmp_path / "data").exists()


def test_folders_that_are_refused(tmp_path, clip) -> None:
    with pytest.raises(AsitError, match="no such corpus"):
        read_corpus(str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(AsitError, match="found none"):
        read_corpus(str(tmp_path / "empty"))
    clip("loose.wav")
    with pytest.raises(AsitError, match=r"loose.wav: expected .*<label>/<recording>"):
        read_corpus(str(tmp_path / "my corpus"))


# --- names of sets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["split", "fold"])
@pytest.mark.parametrize(
    "name", ["../../evil", "..", ".", "/tmp/evil", "a/b", "a\\b", "x y", "-x", "a..b", "all", "ALL", "pool2", "{fold}"]
)
def test_a_set_is_a_name_and_never_a_path(tmp_path, clip, column, name) -> None:
    clip("a.wav"), clip("b.wav")
    with pytest.raises(AsitError, match=r"clips.csv:3: (set|fold) '.*': .*; rename it"):
        read_corpus(table(tmp_path, f"path,label,{column}\na.wav,x,train\nb.wav,y,{name}\n"))
    before = set(tmp_path.rglob("*"))
    rows = [Recording("/a.wav", ("x",), **{column: "train"}), Recording("/b.wav", ("x",), **{column: name})]
    with pytest.raises(AsitError, match="rename it"):  # a prepare.py of its own that yields such a name
        write_sets(rows, str(tmp_path / "deep" / "data"))
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("Train", "Test"), {"pool", "train", "test"}),
        (("train", "validation", "test"), {"pool", "train", "valid", "test"}),
        (("training", "dev", "eval"), {"pool", "train", "valid", "test"}),
        (("TRAIN", "Val", "Testing", "noisy", "unlabelled"), {"pool", "train", "valid", "test", "noisy"}),
    ],
)
def test_folders_called_like_sets(tmp_path, clip, caplog, folders, expected) -> None:
    for folder in folders:
        clip(f"{folder}/a/1.wav"), clip(f"{folder}/b/1.wav")
    found = read_corpus(str(tmp_path / "my corpus"))
    assert set(sets_of(found)) == expected
    assert {label for r in found for label in r.labels} == {"a", "b"}
    (line,) = [record.getMessage() for record in caplog.records]
    assert "read as sets: " in line
    assert "2 classes: a, b" in line


@pytest.mark.parametrize("depth", ["", "day1/"])
@pytest.mark.parametrize("odd", ["train", "Test", "pool"])
def test_a_class_that_is_called_like_a_set(tmp_path, clip, caplog, depth, odd) -> None:
    for label in ("plane", odd, "dog"):
        for i in range(3):
            clip(f"{label}/{depth}{i}.wav")
    found = read_corpus(str(tmp_path / "my corpus"))
    assert {label for r in found for label in r.labels} == {"plane", odd, "dog"}
    assert {r.split for r in found} == {"train", "valid", "test"}
    assert f"the folder {odd} is taken for a class" in caplog.text
    assert "read as folders of classes; 3 classes" in caplog.text


def test_two_folders_that_mean_one_set(tmp_path, clip) -> None:
    for folder in ("train", "val", "dev", "test"):
        clip(f"{folder}/a/1.wav")
    with pytest.raises(AsitError, match="'dev' and 'val' both mean the set valid"):
        read_corpus(str(tmp_path / "my corpus"))


# --- files -----------------------------------------------------------------------------------------


def test_links_are_followed_and_loops_are_not(tmp_path, clip, caplog) -> None:
    for label in ("a", "b"):
        for i in range(3):
            clip(f"{label}/{i}.wav")
    corpus = tmp_path / "my corpus"
    (tmp_path / "elsewhere").mkdir()
    (corpus / "b").rename(tmp_path / "elsewhere" / "b")
    (corpus / "b").symlink_to("../elsewhere/b")
    (corpus / "a" / "again").symlink_to("../../my corpus")
    (corpus / "a" / "3.wav").symlink_to("../b/0.wav")
    found = read_corpus(str(corpus))
    assert sorted(r.utt for r in found) == ["a-0", "a-1", "a-2", "a-3", "b-0", "b-1", "b-2"]
    assert "again: a link to a folder that holds it is not followed" in caplog.text
    (corpus / "a" / "4.wav").symlink_to("nowhere.wav")
    with pytest.raises(AsitError, match=r"4.wav: a link that leads nowhere; fetch"):
        read_corpus(str(corpus))


def test_every_format_is_taken_or_named(tmp_path, clip, caplog) -> None:
    corpus = tmp_path / "my corpus"
    for label in "ab":
        for i, kind in enumerate(("wav", "aiff", "au", "caf", "w64", "FLAC")):
            clip(f"{label}/{i}.{kind}")
        for other in ("6.m4a", "7.WMA", "notes.txt", "readme", ".hidden.wav", "__MACOSX"):
            (corpus / label / other).touch()
    assert len(read_corpus(str(corpus))) == 12
    assert "4 recordings in formats that cannot be read (.m4a .wma) are left out" in caplog.text
    assert "a/6.m4a" in caplog.text
    assert "4 hidden, 2 .txt, 2 without extension" in caplog.text
    text = "path,label\na/0.wav,x\na/6.m4a,y\n"
    with pytest.raises(AsitError, match=r"clips.csv:3: .*6.m4a: this format cannot be read; convert"):
        read_corpus(table(tmp_path, text))


@pytest.mark.parametrize("name", [b"caf\xe9.wav", b"two\nlines.wav"])
def test_file_names_that_no_table_can_hold(tmp_path, clip, name) -> None:
    path = os.fsencode(clip("a/1.wav"))
    os.rename(path, os.path.join(os.path.dirname(path), name))
    with pytest.raises(AsitError, match=r"a/(caf\\xe9|two\\nlines).wav.*: the name .*rename the file") as error:
        read_corpus(str(tmp_path / "my corpus"))
    str(error.value).encode()
    with pytest.raises(AsitError, match="rename the file"):
        write_sets([Recording(os.fsdecode(name), ("x",), split="train")], str(tmp_path / "data"))


# --- ids -------------------------------------------------------------------------------------------


def written(tmp_path, text: str) -> DataDir:
    write_sets(read_corpus(table(tmp_path, text)), str(tmp_path / "data"))
    validate(str(tmp_path / "data/all"), Checks())
    return DataDir(str(tmp_path / "data/all"))


@pytest.mark.parametrize(
    "speakers",
    [
        list("王李張陳林黃吳劉蔡楊"),
        ["anna", "anna-maria", "anna_maria", "anna maria", "anna.m", "ann", "Anna", "anna-"],
        ["é", "e\u0301x", "e\u0301", "कि", "का", "🐶", "🐱", "~", "#1", "@1"],
        ["s1", "s1-s2", "s1-s2-s3", "s1-", "s10", "s1.0", "s"],
    ],
)
def test_speakers_stay_as_many_as_they_are(tmp_path, clip, speakers) -> None:
    text = "path,label,speaker\n"
    for i in range(4 * len(speakers)):
        clip(f"z{i}.wav")
        text += f"z{i}.wav,{'xy'[i % 2]},{speakers[i // 4]}\n"
    data = written(tmp_path, text)
    assert len(data.spk2utt) == len(speakers)
    assert {len(utts) for utts in data.spk2utt.values()} == {4}


def test_names_stay_distinct(tmp_path, clip, caplog) -> None:
    names = ["один", "два", "три", "a b", "a_b", "a?b", "犬", "猫", "🐶", "🐱", "x/1", "x_1"]
    text = "path,label\n"
    for name in names:
        for label in "pq":
            clip(f"{label}/{name}.wav")
            text += f"{label}/{name}.wav,{label}\n"
    utts = written(tmp_path, text).utts
    assert len(utts) == 2 * len(names)
    assert {"p_один", "p_два", "p_犬"} <= set(utts)
    folder = read_corpus(str(tmp_path / "my corpus"))
    assert len({r.utt for r in folder}) == 2 * len(names)


def test_classes_in_other_scripts(tmp_path, clip) -> None:
    for label in ("犬", "猫", "кот"):
        for i in range(3):
            clip(f"{label}/{i}.wav")
    write_sets(read_corpus(str(tmp_path / "my corpus")), str(tmp_path / "data"))
    assert set(DataDir(str(tmp_path / "data/train")).labels) == {"犬", "猫", "кот"}


def test_classes_that_would_become_one_are_refused(tmp_path, clip) -> None:
    clip("a dog/1.wav"), clip("a_dog/1.wav")
    with pytest.raises(AsitError, match="'a_dog' and 'a dog' both become the label 'a_dog'"):
        read_corpus(str(tmp_path / "my corpus"))


def test_clips_without_a_speaker_among_others_are_in_order(tmp_path, clip) -> None:
    text = "path,label,speaker,split\n"
    for i, speaker in enumerate(["ann", "", "ann-b", "", "bob", "bob"]):
        clip(f"ann-{i}.wav")
        text += f"ann-{i}.wav,{'xy'[i % 2]},{speaker},{'train' if i < 4 else 'test'}\n"
    assert len(written(tmp_path, text).spk2utt) == 5


# --- tables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_quotes_and_marks(tmp_path, clip, delimiter, bom, end) -> None:
    clip('a, b; "c".wav'), clip("d.wav"), clip("é\u2028f.wav")
    rows = [["Path", " LABEL ", "split"], ['"a, b; ""c"".wav"', '"x;y"', "train"], ["d.wav", "x", "Test"], []]
    rows += [["é\u2028f.wav", "y", "dev"]]
    found = read_corpus(table(tmp_path, bom + end.join(delimiter.join(row) for row in rows) + end))
    assert [(Path(r.path).name, r.labels, r.split) for r in found] == [
        ('a, b; "c".wav', ("x", "y"), "train"),
        ("d.wav", ("x",), "test"),
        ("é\u2028f.wav", ("y",), "valid"),
    ]


def test_columns_are_mapped(tmp_path, clip, caplog) -> None:
    head = "fname,fold,target,category,take\n"  # as in ESC-50 and UrbanSound
    for name in "abcd":
        clip(f"audio/fold_{'ab'.find(name) % 2}/{name}.wav")
    text = head + "".join(f"{n},{'ab'.find(n) % 2},0,{'xy'[n in 'ac']},A{'z' * 200_000}\n" for n in "abcd")
    path = table(tmp_path, text)
    with pytest.raises(AsitError, match=r"clips.csv:1: unknown column 'fname'.*--columns"):
        read_corpus(path)
    found = read_corpus(path, "path=audio/fold_{fold}/{fname}.wav,label=category")
    assert [(r.labels, r.fold) for r in found][:2] == [(("y",), "0"), (("x",), "1")]
    assert "columns fold, path from audio/fold_{fold}/{fname}.wav, label from category; 2 classes" in caplog.text
    by_take = "path=audio/fold_{fold}/{fname}.wav,label=target,fold="
    with pytest.raises(AsitError, match="at least two classes, found 0"):
        read_corpus(path, by_take)
    for wrong, expected in (
        ("path=file", r"no column 'file': known: "),
        ("path={file}", r"no column 'file'"),
        ("paths=fname", r"found 'paths=fname': did you mean 'path'"),
        ("fname", r"expected words such as path=filename, found 'fname'"),
    ):
        with pytest.raises(AsitError, match=expected):
            read_corpus(path, wrong)
    with pytest.raises(AsitError, match="only a CSV file has columns"):
        read_corpus(str(tmp_path / "my corpus"), "path=x")


def test_text_in_another_encoding(tmp_path, clip) -> None:
    path = Path(table(tmp_path, ""))
    path.write_bytes("path,label\né.wav,x\n".encode("latin-1"))
    with pytest.raises(AsitError, match="expected UTF-8 text, found byte 0xe9; save it as"):
        read_corpus(str(path))


def test_paths_may_leave_the_corpus(tmp_path, clip) -> None:
    clip("in/a.wav")
    text = f"path,label,split\n{tmp_path}/my corpus/in/a.wav,x;y,train\n../my corpus/in/../in/b.wav,x,test\n"
    clip("in/b.wav")
    assert len(read_corpus(table(tmp_path, text))) == 2


# --- tags ------------------------------------------------------------------------------------------


def tags(tmp_path, text: str) -> dict[str, dict[str, str]]:
    write_sets(read_corpus(table(tmp_path, text)), str(tmp_path / "data"))
    sets = [path for path in (tmp_path / "data").iterdir() if (path / "utt2label").exists()]
    for path in sets:
        validate(str(path), Checks(require_labels=True))
    return {path.name: dict(DataDir(str(path)).table("utt2label")) for path in sets}


def test_clips_with_none_of_the_tags(tmp_path, clip) -> None:
    for name in "abcde":
        clip(f"{name}.wav")
    text = "path,label,split\na.wav,x;y,train\nb.wav,,train\nc.wav,-,test\nd.wav,,\ne.wav,,unlabelled\n"
    assert tags(tmp_path, text) == {"train": {"a": "x,y", "b": "-"}, "test": {"c": "-"}}
    assert DataDir(str(tmp_path / "data/pool")).utts == ["a", "b", "d", "e"]
    assert list(DataDir(str(tmp_path / "data/train")).labels) == ["x", "y"]


def test_a_single_tag_with_clips_that_lack_it(tmp_path, clip) -> None:
    text = "path,label\n"
    for i in range(20):
        clip(f"{i:02d}.wav")
        text += f"{i:02d}.wav,{'bird' if i % 2 else '-'}\n"
    found = tags(tmp_path, text)
    assert set(found) == {"train", "valid", "test"}
    for rows in found.values():
        assert set(rows.values()) == {"-", "bird"}


def test_rare_tags_are_trained_on(tmp_path, clip, caplog) -> None:
    text = "path,label\n"
    for i in range(30):
        clip(f"{i:02d}.wav")
        text += f"{i:02d}.wav,{'a;b' if i % 2 else 'a'}{';rare' if i == 7 else ''}\n"
    found = tags(tmp_path, text)
    assert found["train"]["07"] == "a,b,rare"
    assert min(len(rows) for rows in found.values()) >= 2
    assert "too few clips to hold some out, all are trained on: rare" in caplog.text


# --- what sets share -------------------------------------------------------------------------------


def test_shared_content_is_told(tmp_path, clip, caplog) -> None:
    noise = np.random.default_rng(0).normal(size=(3, 40000))
    for name, wave in (("a", 0), ("b", 1), ("c", 2), ("d", 1)):
        soundfile.write(clip(f"{name}.wav"), 0.1 * noise[wave], 16000)
    text = "path,label,split\na.wav,x,train\nb.wav,y,train\nc.wav,x,test\nd.wav,y,test\n"
    write_sets(read_corpus(table(tmp_path, text)), str(tmp_path / "data"))
    assert "1 recordings are in more than one set under other names" in caplog.text
    assert "d.wav (test) and " in caplog.text
    caplog.clear()
    write_sets(read_corpus(table(tmp_path, text.replace("d.wav,y,test\n", ""))), str(tmp_path / "data"))
    assert "more than one set" not in caplog.text


@pytest.mark.parametrize(("label", "told"), [("x", True), ("", False)])
def test_shared_speakers_are_told_unless_they_are_the_classes(tmp_path, clip, caplog, label, told) -> None:
    text = "path,label,speaker,split\n"
    for i in range(8):
        soundfile.write(clip(f"{i}.wav"), np.full(100 + i, 0.1), 16000)
        text += f"{i}.wav,{f'{label}{i % 2}' if label else f's-{i % 4}'},s-{i % 4},{'train' if i < 5 else 'test'}\n"
    write_sets(read_corpus(table(tmp_path, text)), str(tmp_path / "data"))
    assert ("speakers are in more than one set" in caplog.text) == told
    assert "no speakers are named" not in caplog.text


def test_unknown_speakers_are_told(tmp_path, clip, caplog) -> None:
    for label in "ab":
        for i in range(3):
            clip(f"{label}/{i}.wav")
    read_corpus(str(tmp_path / "my corpus"))
    assert "no speakers are named: whether one speaker, or one source, is in train and in test" in caplog.text


def test_a_grown_corpus_leaves_no_old_features(tmp_path, clip) -> None:
    for label in "ab":
        for i in range(4):
            clip(f"{label}/{i}.wav")
    corpus, train = str(tmp_path / "my corpus"), tmp_path / "data" / "train"
    write_sets(read_corpus(corpus), str(tmp_path / "data"))
    utts = DataDir(str(train)).utts
    (train / "feats.scp").write_text("".join(f"{utt} x.ark:6\n" for utt in utts))
    write_sets(read_corpus(corpus), str(tmp_path / "data"))
    assert (train / "feats.scp").exists(), "nothing has changed"
    for i in range(4, 8):
        clip(f"a/{i}.wav")
    write_sets(read_corpus(corpus), str(tmp_path / "data"))
    assert not (train / "feats.scp").exists()
    assert (train / ".backup" / "feats.scp").exists()
    validate(str(train), Checks())
    assert len(DataDir(str(train)).utts) > len(utts)
