from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asit.errors import AsitError
from asit.kaldi.data_dir import DataDir, Segment, inverse, read_labels, read_list, write_data_dir, write_labels


def test_reading(right, segmented):
    data = DataDir(str(right))
    assert len(data.utts) == len(data.feats) == len(data.wav_scp) == len(data.text) == 7
    assert data.spk2utt["bob's"] == ["bob's-1", "bob's-2"]
    assert data.utt2label["ann-1"] == ("cat", "dog")
    assert data.labels == {"cat": 0, "dog": 1}
    assert data.utt2dur["ann-1"] == 0.5
    assert data.utt2num_frames["ann-1"] == 48
    assert data.frame_shift == 0.01
    assert data.has("conf")
    assert not data.has("segments")
    assert data.tables()["spk2gender"] == "spk"
    assert data.tables()["wav.scp"] == "utt"
    other = DataDir(str(segmented))
    assert other.segments["ann-1-1"] == Segment("ann-1", 0.1, 0.2)
    assert other.tables()["wav.scp"] == "reco"


@pytest.mark.parametrize(
    ("name", "line", "attribute", "message"),
    [
        ("utt2dur", "ann-1 x", "utt2dur", "utt2dur:1: 'ann-1': expected a number, found 'x'"),
        ("utt2dur", "ann-1 -1", "utt2dur", "positive number of seconds"),
        ("utt2num_frames", "ann-1 1.5", "utt2num_frames", "utt2num_frames:1"),
        ("utt2label", "ann-1 a,,b", "utt2label", "utt2label:1: 'ann-1': an id is empty"),
        ("utt2label", "ann-1 a,a", "utt2label", "given twice"),
        ("utt2label", "ann-1 a, b", "utt2label", "separated by a comma alone"),
        ("utt2label", "ann-1 a,-", "utt2label", "label '-' means that a clip has none"),
        ("labels.txt", "- 0", "labels", "labels.txt:1: label '-' means that a clip has none"),
        ("segments", "ann-1 r 2 1", "segments", "expected 0 <= start < end"),
        ("segments", "ann-1 r 2", "segments", "expected 'recording start end'"),
        ("frame_shift", "0", "frame_shift", "frame_shift:1: expected one positive number"),
        ("labels.txt", "a 1", "labels", "labels.txt:1: index 1: expected 0 to 0"),
    ],
)
def test_values_are_checked_with_their_line(right, name, line, attribute, message):
    (right / name).write_text(line + "\n")
    with pytest.raises(AsitError, match=message):
        getattr(DataDir(str(right)), attribute)


def test_missing_directory_and_table(right, tmp_path):
    with pytest.raises(AsitError, match="no such data directory"):
        _ = DataDir(str(tmp_path / "none")).utts
    with pytest.raises(AsitError, match="segments: no such file"):
        _ = DataDir(str(right)).segments


@given(st.dictionaries(st.sampled_from([f"u{i}" for i in range(9)]), st.sampled_from("abc"), min_size=1))
def test_inverse_is_exact(utt2spk):
    back = {utt: spk for spk, utts in inverse(utt2spk).items() for utt in utts.split()}
    assert back == utt2spk


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({}, "expected a table utt2spk"),
        ({"utt2spk": {"a-1": "a"}, "text": {"b": "x"}}, "'a-1' is in utt2spk but not in text"),
        ({"utt2spk": {"a-1": "a"}, "text": {"a-1": "x", "b": "x"}}, "'b' is in text but not in utt2spk"),
        ({"utt2spk": {"1-a": "a", "2-b": "b", "3-a": "a"}}, "speakers are not in order: '3-a'"),
    ],
)
def test_writing_refuses_what_is_not_right_and_writes_nothing(tmp_path, tables, message):
    with pytest.raises(AsitError, match=message):
        write_data_dir(tmp_path / "d", tables)
    assert not (tmp_path / "d").exists()


def test_write_sorts_and_makes_spk2utt(tmp_path):
    write_data_dir(tmp_path / "d", {"utt2spk": {"b-1": "b", "a-2": "a", "a-1": "a"}})
    assert (tmp_path / "d/utt2spk").read_text() == "a-1 a\na-2 a\nb-1 b\n"
    assert (tmp_path / "d/spk2utt").read_text() == "a a-1 a-2\nb b-1\n"
    assert sorted(os.listdir(tmp_path / "d")) == ["spk2utt", "utt2spk"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file"),
        ("a\n", ":1: expected 'label index'"),
        ("a 0\nb c 1\n", ":2: expected 'label index'"),
        ("a 0\na 1\n", ":2: label 'a' or index 1 is there already"),
        ("a 0\nb 0\n", ":2: label 'b' or index 0 is there already"),
        ("a 0\nb 2\n", ":2: index 2: expected 0 to 1"),
        ("a,b 0\n", ":1: label 'a,b' holds a comma"),
    ],
)
def test_labels(tmp_path, text, message):
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(AsitError, match=message):
        read_labels(str(tmp_path / "labels.txt"))


def test_labels_keep_their_order(tmp_path):
    write_labels(tmp_path / "labels.txt", ["z", "a"])
    assert list(read_labels(str(tmp_path / "labels.txt"))) == ["z", "a"]
    for bad in (["a", "a"], ["a b"], ["a,b"], [""], ["a", "-"]):
        with pytest.raises(AsitError):
            write_labels(tmp_path / "labels.txt", bad)


def test_list_of_ids(tmp_path):
    (tmp_path / "l").write_text("b x\na\n\nb y\n")
    assert read_list(str(tmp_path / "l")) == ["b", "a"]
    (tmp_path / "l").write_text("\n")
    with pytest.raises(AsitError, match="found none"):
        read_list(str(tmp_path / "l"))
