"""Whoever writes a data directory again leaves nothing beside it that belongs to other recordings."""

from __future__ import annotations

import os

import pytest

from asit.bin import fix_data_dir, validate_data_dir
from asit.kaldi.data_dir import DataDir, write_data_dir
from asit.kaldi.data_dir_validate import Checks, find_problems

FEATURES = {"feats.scp", "utt2num_frames", "utt2dur"}


def extracted(path, *more: str) -> None:
    """What feature extraction leaves beside the tables of the fixture ``right``."""
    for name in ("stats.yaml", "failed_utts", *more):
        (path / name).write_text("x y\n")


def prepared(path, change=lambda table: table, names=("wav.scp", "utt2spk", "utt2label")) -> None:
    """A preparation script writes its tables again."""
    data = DataDir(str(path))
    write_data_dir(path, {name: change(dict(data.table(name))) for name in names})


def kept(path) -> set[str]:
    return {name for name in os.listdir(path) if name != ".backup"}


def test_the_same_recordings_again_change_nothing(right, caplog):
    extracted(right)
    before = kept(right)
    prepared(right)
    assert kept(right) == before
    assert not (right / ".backup").exists()
    assert not caplog.records


def more(table):
    return {**table, "cy-3": table["cy-2"].replace("cy-2", "cy-3")}


def fewer(table):
    return {utt: value for utt, value in table.items() if utt != "cy-2"}


def moved(table):
    return {utt: value.replace("au dio", "audio") for utt, value in table.items()}


def exchanged(table):
    return {**table, "cy-1": table["cy-2"], "cy-2": table["cy-1"]}


@pytest.mark.parametrize("change", [more, fewer, moved, exchanged])
def test_other_recordings_put_what_was_made_of_the_old_ones_aside(right, caplog, change):
    extracted(right, "utt2crc")
    prepared(right, change)
    gone = FEATURES | {"utt2crc", "stats.yaml", "failed_utts", "frame_shift", "text"}
    assert not gone & kept(right)
    assert gone <= set(os.listdir(right / ".backup"))
    assert (right / ".backup/conf/fbank.yaml").exists()
    assert (right / "labels.txt").exists()
    assert len(caplog.records) == 1
    assert "extract the features again" in caplog.text
    assert find_problems(right, Checks(check_files=False)) == []
    assert DataDir(str(right)).wav_scp


def test_tables_that_are_given_stay(right):
    """As in egs/audioset: utterances whose features failed leave all tables, the features go on being used."""
    extracted(right)
    prepared(right, fewer, tuple(DataDir(str(right)).tables()))
    assert kept(right) >= FEATURES | {"frame_shift", "conf", "failed_utts"}
    assert "stats.yaml" not in kept(right)


def test_segments_that_are_not_written_again_go(segmented):
    wav = DataDir(str(segmented)).wav_scp
    write_data_dir(segmented, {"wav.scp": wav, "utt2spk": {utt: utt for utt in wav}})
    assert "segments" not in kept(segmented)
    assert find_problems(segmented) == []


def test_a_broken_old_table_is_put_aside(right):
    (right / "utt2dur").write_bytes(b"ann-1 \xff\n")
    prepared(right)
    assert "utt2dur" not in kept(right)
    assert FEATURES - {"utt2dur"} <= kept(right)


def test_speaker_tables_follow_the_speakers(right):
    (right / "cmvn.scp").write_text("".join(f"{s} x.ark:6\n" for s in ("ann", "bob's", "cy")))
    data = DataDir(str(right))
    speakers = {utt: utt for utt in data.utts}
    write_data_dir(right, {"wav.scp": data.wav_scp, "utt2spk": speakers})
    assert kept(right) >= FEATURES
    assert not {"cmvn.scp", "spk2gender"} & kept(right)


def test_no_command_tells_to_drop_new_clips(right, capsys, monkeypatch):
    """A feats.scp that lags, from before this was looked after: the remedy is extraction, not a smaller corpus."""
    (right / "feats.scp").write_text((right / "feats.scp").read_text().rpartition("cy-2")[0])
    monkeypatch.setattr("sys.argv", ["asit-validate-data-dir", "--data-dir", str(right)])
    assert validate_data_dir.main() == 1
    assert "feats.scp: utterance 'cy-2' of utt2spk is missing; extract the features again" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["asit-fix-data-dir", "--data-dir", str(right)])
    assert fix_data_dir.main() == 1
    assert "extract the features again" in capsys.readouterr().err
    assert len(DataDir(str(right)).wav_scp) == 7
