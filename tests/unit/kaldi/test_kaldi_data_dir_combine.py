from __future__ import annotations

import pytest

from asit.bin import combine_data_dirs, copy_data_dir
from asit.errors import AsitError
from asit.kaldi.data_dir import DataDir, write_data_dir
from asit.kaldi.data_dir_combine import Renaming, combine, copy
from asit.kaldi.data_dir_parts import subset
from asit.kaldi.data_dir_validate import Checks, find_problems

FULL = Checks(require_feats=True, require_text=True, require_labels=True, check_feats=True)


def tables(path):
    data = DataDir(str(path))
    return {name: data.table(name) for name in [*data.tables(), "spk2utt"]}


def test_parts_combine_to_the_whole(right, tmp_path):
    utts = DataDir(str(right)).utts
    subset(right, tmp_path / "a", utts[::2])  # speakers are in both
    subset(right, tmp_path / "b", utts[1::2])
    out = combine(tmp_path / "ab", [tmp_path / "b", tmp_path / "a"])
    assert tables(out.path) == tables(right)
    assert find_problems(out.path, FULL) == []
    assert (tmp_path / "ab/conf/fbank.yaml").read_text() == "num_mel_bins: 4\n"
    combine(tmp_path / "ab", [tmp_path / "a"])
    assert len(DataDir(out.path).feats) == 4


def test_segments_of_one_recording_in_two_directories(segmented, tmp_path):
    subset(segmented, tmp_path / "a", ["ann-1-0", "cy-1-0"])
    subset(segmented, tmp_path / "b", ["ann-1-1", "ann-1-2", "cy-1-1"])
    out = combine(tmp_path / "ab", [tmp_path / "a", tmp_path / "b"])
    assert tables(out.path) == tables(segmented)


def test_segments_are_made_where_there_are_none(right, segmented, tmp_path):
    subset(right, tmp_path / "whole", ["ann-2"])
    (tmp_path / "whole" / "reco2dur").write_text("ann-2 0.5\n")
    out = combine(tmp_path / "out", [tmp_path / "whole", segmented])
    assert tuple(out.segments["ann-2"]) == ("ann-2", 0.0, 0.5)
    assert find_problems(out.path) == []
    (tmp_path / "whole" / "utt2dur").unlink()
    with pytest.raises(AsitError, match="no utt2dur to make them from"):
        combine(tmp_path / "out", [tmp_path / "whole", segmented])


def test_tables_that_one_lacks_are_left_out_with_a_message(right, tmp_path, caplog):
    subset(right, tmp_path / "a", ["ann-1"])
    subset(right, tmp_path / "b", ["ann-2"])
    (tmp_path / "b" / "text").unlink()
    out = combine(tmp_path / "ab", [tmp_path / "a", tmp_path / "b"])
    assert not out.has("text")
    assert f"text is left out: {tmp_path / 'b'} has none" in caplog.text


def test_refusals_leave_the_old_directory(right, tmp_path):
    subset(right, tmp_path / "a", ["ann-1", "cy-1"])
    subset(right, tmp_path / "b", ["ann-2", "cy-2"])
    combine(tmp_path / "out", [tmp_path / "a"])
    before = tables(tmp_path / "out")
    with pytest.raises(AsitError, match=r"feats.scp: 'ann-1' is in both"):
        combine(tmp_path / "out", [tmp_path / "a", right])
    (tmp_path / "b/frame_shift").write_text("0.02\n")
    with pytest.raises(AsitError, match="b/frame_shift: differs from"):
        combine(tmp_path / "out", [tmp_path / "a", tmp_path / "b"])
    (tmp_path / "b/frame_shift").write_text("0.01\n")
    (tmp_path / "b/conf/fbank.yaml").write_text("num_mel_bins: 5\n")
    with pytest.raises(AsitError, match=r"b/conf/fbank.yaml: differs from"):
        combine(tmp_path / "out", [tmp_path / "a", tmp_path / "b"])
    (tmp_path / "b/conf/fbank.yaml").write_text("num_mel_bins: 4\n")
    (tmp_path / "b/labels.txt").write_text("cat 1\ndog 0\n")
    with pytest.raises(AsitError, match=r"b/labels.txt: differs from"):
        combine(tmp_path / "out", [tmp_path / "a", tmp_path / "b"])
    (tmp_path / "b/labels.txt").write_text("cat 0\ndog 1\n")
    (tmp_path / "b/spk2gender").write_text("ann m\ncy f\n")
    with pytest.raises(AsitError, match="'ann' differs between"):
        combine(tmp_path / "out", [tmp_path / "a", tmp_path / "b"])
    with pytest.raises(AsitError, match="would replace its source"):
        combine(tmp_path / "a", [tmp_path / "a", tmp_path / "b"])
    with pytest.raises(AsitError, match="at least one directory"):
        combine(tmp_path / "out", [])
    assert tables(tmp_path / "out") == before


def test_copy_as_it_is(right, segmented, tmp_path):
    (right / "stats.yaml").write_text("mean: 0\n")
    copy(right, tmp_path / "copy")
    assert tables(tmp_path / "copy") == tables(right)
    assert (tmp_path / "copy/stats.yaml").exists()
    copy(segmented, tmp_path / "copy")
    assert tables(tmp_path / "copy") == tables(segmented)


def test_copy_under_other_ids(right, segmented, tmp_path):
    out = copy(right, tmp_path / "copy", Renaming(utt_prefix="x-", utt_suffix="-y", spk_prefix="x-"))
    assert out.utts[0] == "x-ann-1-y"
    assert out.spk2utt["x-bob's"] == ["x-bob's-1-y", "x-bob's-2-y"]
    assert list(out.table("spk2gender")) == ["x-ann", "x-bob's", "x-cy"]
    assert find_problems(out.path, FULL) == []
    out = copy(segmented, tmp_path / "copy", Renaming(utt_prefix="x-", spk_prefix="x-"))
    assert out.segments["x-ann-1-0"].recording == "ann-1"
    assert find_problems(out.path) == []
    combine(tmp_path / "both", [segmented, tmp_path / "copy"])


def test_speaker_before_the_utterance_mends_the_order(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/utt2spk").write_text("u1 b\nu2 a\nu3 b\n")
    (tmp_path / "d/spk2utt").write_text("a u2\nb u1 u3\n")
    with pytest.raises(AsitError, match=r"not in order.*--prefix-speaker true"):
        copy(tmp_path / "d", tmp_path / "e")
    assert not (tmp_path / "e").exists()
    out = copy(tmp_path / "d", tmp_path / "e", Renaming(prefix_speaker=True))
    assert out.utts == ["a-u2", "b-u1", "b-u3"]
    assert find_problems(out.path, Checks(require_wav=False)) == []


def test_commands(tmp_path, capsys, monkeypatch):
    write_data_dir(tmp_path / "a b", {"utt2spk": {"a-1": "a"}})
    a, b, ab = (str(tmp_path / n) for n in ("a b", "b", "ab"))
    words = ["x", "--data-dir", a, "--out-dir", b, "--utt-prefix", "b-", "--spk-prefix", "b-"]
    monkeypatch.setattr("sys.argv", words)
    assert copy_data_dir.main() == 0
    monkeypatch.setattr("sys.argv", ["x", "--data-dirs", a, b, "--out-dir", ab])
    assert combine_data_dirs.main() == 0
    assert "2 utterances, 2 speakers from 2 dirs" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["x", "--data-dirs", a, ab, "--out-dir", b])
    assert combine_data_dirs.main() == 1
    assert "'a-1' is in both" in capsys.readouterr().err
