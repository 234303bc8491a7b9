from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asit.bin import split_data_dir, subset_data_dir
from asit.errors import AsitError
from asit.kaldi.data_dir import DataDir, write_data_dir
from asit.kaldi.data_dir_parts import (
    by_label,
    choose_first,
    choose_per_group,
    choose_random,
    choose_speakers,
    shuffled,
    split,
    subset,
)
from asit.kaldi.data_dir_validate import Checks, find_problems

FULL = Checks(require_feats=True, require_text=True, require_labels=True)


def test_split_is_contiguous_and_the_first_parts_take_the_rest(right):
    outs = split(right, 3)
    assert outs == [str(right / "split3" / str(j)) for j in (1, 2, 3)]
    assert [len(DataDir(out).utts) for out in outs] == [3, 2, 2]
    assert [utt for out in outs for utt in DataDir(out).utts] == DataDir(str(right)).utts
    for out in outs:
        assert find_problems(out, FULL) == []
        assert (right / "conf/fbank.yaml").read_bytes() == Path(out, "conf/fbank.yaml").read_bytes()
    assert find_problems(right, FULL) == []


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_any_split_is_a_partition(tmp_path_factory, sizes, n):
    path = tmp_path_factory.mktemp("d") / "d"
    utt2spk = {f"s{s}-{u}": f"s{s}" for s, size in enumerate(sizes) for u in range(size)}
    write_data_dir(path, {"utt2spk": utt2spk})
    for by_speaker, units in ((False, len(utt2spk)), (True, len(sizes))):
        if units < n:
            with pytest.raises(AsitError, match="are too few for"):
                split(path, n, by_speaker)
            continue
        parts = [DataDir(out) for out in split(path, n, by_speaker)]
        assert [u for part in parts for u in part.utts] == sorted(utt2spk)
        assert all(part.utts for part in parts)
        if by_speaker:
            speakers = [speaker for part in parts for speaker in part.spk2utt]
            assert speakers == sorted(set(utt2spk.values()))
        else:
            lengths = [len(part.utts) for part in parts]
            assert lengths == sorted(lengths, reverse=True)
            assert lengths[0] - lengths[-1] <= 1


def test_split_again_does_nothing_until_something_changes(right):
    outs = split(right, 2)
    mark = f"{outs[0]}/mark"
    Path(mark).touch()
    split(right, 2)
    assert os.path.exists(mark)
    split(right, 2, by_speaker=True)
    assert not os.path.exists(mark)
    Path(mark).touch()
    text = (right / "text").read_text()
    (right / "text").write_text(text.replace("some", "more"))
    split(right, 2, by_speaker=True)
    assert not os.path.exists(mark)
    assert "more words" in Path(outs[0], "text").read_text()


def test_split_of_segments(segmented):
    outs = split(segmented, 2)
    assert [list(DataDir(out).wav_scp) for out in outs] == [["ann-1"], ["cy-1"]]
    outs = split(segmented, 5)
    assert all(find_problems(out) == [] for out in outs)


def test_split_leaves_other_things_alone_and_nothing_half(right):
    (right / "split2").mkdir()
    (right / "split2" / "notes.txt").write_text("")
    with pytest.raises(AsitError, match="move it away"):
        split(right, 2)
    shutil.rmtree(right / "split2")
    (right / "text").write_text("ann-1 x\n")
    with pytest.raises(AsitError, match=r"text: 'ann-2' is missing; add its line"):
        split(right, 2)
    (right / "feats.scp").write_text("ann-1 x.ark:6\n")
    with pytest.raises(AsitError, match=r"feats.scp: 'ann-2' is missing; extract the features again"):
        split(right, 2)
    assert not [name for name in os.listdir(right) if name.startswith("split")]
    with pytest.raises(AsitError, match="cannot split into 0 parts"):
        split(right, 0)


def test_subset(right, tmp_path):
    out = subset(right, tmp_path / "sub", ["cy-1", "ann-2", "cy-1"])
    assert out.utts == ["ann-2", "cy-1"]
    assert find_problems(out.path, FULL) == []
    assert list(out.table("spk2gender")) == ["ann", "cy"]
    subset(right, tmp_path / "sub", ["ann-1"])
    assert DataDir(out.path).utts == ["ann-1"]


def test_subset_of_segments(segmented, tmp_path):
    out = subset(segmented, tmp_path / "sub", ["cy-1-1"])
    assert list(out.wav_scp) == ["cy-1"]
    assert find_problems(out.path) == []


def test_subset_refuses(right, tmp_path):
    for utts, message in (([], "no utterance was chosen"), (["x", "ann-1"], r"no utterance 'x' \(1 of 2")):
        with pytest.raises(AsitError, match=message):
            subset(right, tmp_path / "sub", utts)
    for out in (right, right.parent):
        with pytest.raises(AsitError, match="would replace its source"):
            subset(right, out, ["ann-1"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(AsitError, match="move it away"):
        subset(right, tmp_path / "other", ["ann-1"])
    assert (tmp_path / "other" / "thesis.tex").exists()


def test_choices(right):
    data = DataDir(str(right))
    assert choose_first(data, 2) == ["ann-1", "ann-2"]
    assert choose_random(data, 3, seed=1) == choose_random(data, 3, seed=1)
    assert set(choose_random(data, 3, seed=1)) < set(choose_random(data, 5, seed=1))
    assert len({tuple(choose_random(data, 3, seed)) for seed in range(20)}) > 5
    per_speaker = choose_per_group(data, data.spk2utt, 2)
    assert [sum(u.startswith(s) for u in per_speaker) for s in ("ann", "bob", "cy")] == [2, 2, 2]
    assert len(choose_per_group(data, by_label(data), 1)) in (1, 2)
    assert choose_speakers(data, ["cy", "ann", "cy"]) == ["ann-1", "ann-2", "ann-3", "cy-1", "cy-2"]
    with pytest.raises(AsitError, match="no speaker 'anne'; did you mean 'ann'"):
        choose_speakers(data, ["anne"])
    with pytest.raises(AsitError, match="7 utterances are too few for 8"):
        choose_first(data, 8)
    with pytest.raises(AsitError, match="0 < 1"):
        choose_random(data, 0)


def test_clips_without_a_tag_are_a_group_of_their_own(right):
    data = DataDir(str(right))
    table = {**data.table("utt2label"), "cy-1": "-", "cy-2": "-"}
    (right / "utt2label").write_text("".join(f"{utt} {value}\n" for utt, value in table.items()))
    assert find_problems(right, FULL) == []
    groups = by_label(DataDir(str(right)))
    assert groups["-"] == ["cy-1", "cy-2"]
    assert {"cy-1", "cy-2"} <= set(choose_per_group(data, groups, 2))


def test_chance_depends_on_seed_and_id_alone():
    assert shuffled(["a", "b", "c", "d"], 0) == shuffled(["d", "c", "b", "a"], 0) == ["b", "a", "c", "d"]
    longer = shuffled(["a", "b", "c", "d", "e"], 0)
    longer.remove("e")
    assert longer == ["b", "a", "c", "d"]


def test_commands(right, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["asit-split-data-dir", "--data-dir", str(right), "--nj", "2"])
    assert split_data_dir.main() == 0
    (tmp_path / "list").write_text("ann-1 x\nbob's-2\n")
    base = ["asit-subset-data-dir", "--data-dir", str(right), "--out-dir", str(tmp_path / "out")]
    for words, number in (
        (["--first", "3"], 3),
        (["--random", "4", "--seed", "5"], 4),
        (["--per-speaker", "1"], 3),
        (["--utt-list", str(tmp_path / "list")], 2),
    ):
        monkeypatch.setattr("sys.argv", base + words)
        assert subset_data_dir.main() == 0
        assert f"{number} of 7 utterances" in capsys.readouterr().out
    for words in ([], ["--first", "1", "--random", "1"]):
        monkeypatch.setattr("sys.argv", base + words)
        assert subset_data_dir.main() == 1
        assert "expected exactly one choice" in capsys.readouterr().err
