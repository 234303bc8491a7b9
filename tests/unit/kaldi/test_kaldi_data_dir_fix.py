from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asit.bin import fix_data_dir
from asit.errors import AsitError
from asit.kaldi.data_dir import DataDir, write_data_dir
from asit.kaldi.data_dir_fix import FixSettings, fix
from asit.kaldi.data_dir_validate import Checks, find_problems


def content(path):
    return {n: (path / n).read_bytes() for n in os.listdir(path) if (path / n).is_file()}


def test_right_directory_stays_untouched(right, segmented):
    for path in (right, segmented):
        before = content(path)
        done = fix(path)
        assert (done.kept, done.removed, done.rewritten) == (done.before, (), ())
        assert content(path) == before
        assert not (path / ".backup").exists()


def test_sorts_repairs_and_intersects(right):
    before = content(right)
    (right / "utt2spk").write_text("".join(reversed((right / "utt2spk").read_text().splitlines(keepends=True))))
    (right / "text").write_bytes(before["text"].replace(b"\n", b"\r\n").replace(b"ann-2 some words\r\n", b"\r\n"))
    (right / "utt2dur").write_bytes(before["utt2dur"].rstrip(b"\n").replace(b"cy-1 0.5", b"cy-1 0"))
    (right / "utt2label").write_bytes(before["utt2label"] + b"ann-1 cat,dog\nann-1 dog\n")
    (right / "spk2utt").unlink()
    broken = content(right)
    done = fix(right)
    assert (done.before, done.kept) == (7, 5)
    assert find_problems(right, Checks(require_feats=True, require_text=True)) == []
    assert DataDir(str(right)).utts == ["ann-1", "ann-3", "bob's-1", "bob's-2", "cy-2"]
    backup = content(right / ".backup")
    removed = backup.pop("removed.txt").decode().splitlines()
    assert backup == {name: broken[name] for name in backup}
    assert {"utt2spk", "text", "utt2dur", "utt2label"} <= set(backup)
    assert tuple(removed) == done.removed
    assert any(line.endswith("utt2dur:6 cy-1: expected a positive number of seconds, found 0") for line in removed)
    assert any(line.endswith("utt2label:9 ann-1: another value than on line 1") for line in removed)
    assert any(line.endswith("wav.scp:2 ann-2: not in text") for line in removed)
    assert fix(right).rewritten == ()
    assert content(right / ".backup")["utt2spk"] == broken["utt2spk"]  # a second run keeps the first backup


def test_line_numbers_are_those_of_the_file(tmp_path):
    tables = {"utt2spk": "abcdef", "wav.scp": "acdef", "text": "abcf", "utt2label": "fedcba"}
    for name, utts in tables.items():
        (tmp_path / name).write_text("".join(f"{utt} x\n" for utt in utts) + "\n")
    with (tmp_path / "utt2label").open("a") as stream:
        stream.write("e y\ng z\ng y\n")
    assert sorted(line.removeprefix(f"{tmp_path}/") for line in fix(tmp_path).removed) == [
        "text:2 b: not in wav.scp",
        "utt2label:10 g: another value than on line 9",
        "utt2label:2 e: not in text",
        "utt2label:3 d: not in text",
        "utt2label:5 b: not in wav.scp",
        "utt2label:8 e: another value than on line 2",
        "utt2label:9 g: not in text",
        "utt2spk:2 b: not in wav.scp",
        "utt2spk:4 d: not in text",
        "utt2spk:5 e: not in text",
        "wav.scp:3 d: not in text",
        "wav.scp:4 e: not in text",
    ]


def test_speaker_tables_follow(right):
    (right / "text").write_text("".join(f"{u} x\n" for u in ("ann-1", "cy-1")))
    fix(right)
    assert (right / "spk2gender").read_text() == "ann f\ncy f\n"
    assert (right / "spk2utt").read_text() == "ann ann-1\ncy cy-1\n"


def test_segments_and_recordings(segmented):
    wav = (segmented / "wav.scp").read_text().splitlines(keepends=True)
    (segmented / "wav.scp").write_text(wav[1] + "extra /x.wav\n")
    done = fix(segmented)
    assert (done.before, done.kept) == (5, 2)
    assert DataDir(str(segmented)).utts == ["cy-1-0", "cy-1-1"]
    assert list(DataDir(str(segmented)).wav_scp) == ["cy-1"]
    assert find_problems(segmented) == []


def test_missing_audio_is_dropped_only_on_request(right):
    (right.parent / "au dio" / "ann-1.wav").unlink()
    assert fix(right).kept == 7
    done = fix(right, FixSettings(drop_missing=True))
    assert done.kept == 6
    assert "its file does not exist" in done.removed[0]


def test_refusals_change_nothing(right, tmp_path):
    (right / "text").write_text("ann-1 x\n")
    before = content(right)
    with pytest.raises(AsitError, match="1 of 7 utterances would be kept, nothing was changed"):
        fix(right, FixSettings(min_kept=0.5))
    (right / "text").write_text("nobody x\n")
    with pytest.raises(AsitError, match=r"0 of 7 utterances would be kept.*not in "):
        fix(right)
    (right / "text").write_bytes(before["text"])
    assert content(right) == before
    (right / "text").write_text("".join(f"{u} x\n" for u in DataDir(str(right)).utts))
    (right / "utt2spk").write_text("".join(f"{u} s{i % 2}\n" for i, u in enumerate(DataDir(str(right)).utts)))
    with pytest.raises(AsitError, match="speakers are not in order"):
        fix(right)
    (right / "utt2spk").write_bytes(b"a \xff\n")
    with pytest.raises(AsitError, match="expected UTF-8"):
        fix(right)
    (right / "utt2spk").unlink()
    with pytest.raises(AsitError, match="utt2spk: no such file"):
        fix(right)


def test_lagging_features_do_not_drop_new_clips(right):
    for name in ("feats.scp", "utt2num_frames", "utt2dur"):
        lines = (right / name).read_text().splitlines(keepends=True)
        (right / name).write_text("".join(lines[:5]))
    before = content(right)
    with pytest.raises(AsitError, match=r"feats.scp: 2 of 7 utterances have no line, such as 'cy-1'; extract the feat"):
        fix(right)
    assert content(right) == before
    (right / "failed_utts").write_text("cy-1 not audio\n")
    with pytest.raises(AsitError, match=r"feats.scp: 1 of 7 utterances have no line, such as 'cy-2'"):
        fix(right)
    (right / "failed_utts").write_text("cy-1 not audio\ncy-2 not audio\n")
    assert fix(right).dropped == ("cy-1", "cy-2")


def test_features_of_a_part_are_enough_on_request(right):
    (right / "stats.yaml").write_text("mean: 0\n")
    (right / "feats.scp").write_text((right / "feats.scp").read_text().splitlines(keepends=True)[0])
    assert fix(right, FixSettings(drop_without_feats=True)).kept == 1
    assert not (right / "stats.yaml").exists(), "it is the mean of utterances that are gone"
    assert (right / ".backup/stats.yaml").exists()


UTTS = st.lists(st.sampled_from([f"s{s}-u{u}" for s in range(3) for u in range(3)]), min_size=1)


@given(UTTS, UTTS, UTTS, st.randoms())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_left_is_right(tmp_path_factory, first, second, third, random):
    path = tmp_path_factory.mktemp("d")
    (path / "utt2spk").write_text("".join(f"{u} {u[:2]}\n" for u in first))
    (path / "utt2dur").write_text("".join(f"{u} {random.choice(['1', '0', 'x', ''])}\n" for u in second))
    (path / "text").write_text("".join(f"{u} {random.choice(['a', ''])}\n" for u in third))
    try:
        done = fix(path, FixSettings(drop_without_feats=True))
    except AsitError as error:
        if "nothing was changed" not in str(error):
            raise
        return
    checks = Checks(require_wav=False)
    assert find_problems(path, checks) == []
    kept = set(DataDir(str(path)).utts)
    assert len(kept) == done.kept
    assert kept <= set(first) & set(second) & set(third)


def test_command(tmp_path, capsys, monkeypatch):
    write_data_dir(tmp_path / "d", {"utt2spk": {"a-1": "a", "a-2": "a"}, "text": {"a-1": "x", "a-2": "y"}})
    (tmp_path / "d/text").write_text("a-2 y\n")
    monkeypatch.setattr("sys.argv", ["asit-fix-data-dir", "--data-dir", str(tmp_path / "d")])
    assert fix_data_dir.main() == 0
    shown = capsys.readouterr().out
    assert "kept 1 of 2 utterances, dropped 1 lines" in shown
    assert "1 utterances dropped: a-1" in shown
    assert "1 lines: not in text" in shown
    assert "removed.txt" in shown
