from __future__ import annotations

import numpy as np
import pytest
import soundfile

from asit.bin import validate_data_dir
from asit.errors import AsitError
from asit.kaldi.ark import ArkWriter
from asit.kaldi.data_dir_findings import PER_FILE
from asit.kaldi.data_dir_validate import Checks, find_problems, validate

FULL = Checks(require_feats=True, require_text=True, require_labels=True, check_audio=True, check_feats=True)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_right_directories_have_no_problem(right, segmented):
    assert find_problems(right, FULL) == []
    assert find_problems(segmented, Checks(check_audio=True)) == []
    validate(right)


# file, old text, new text, beginning of the one problem (behind the directory)
RULES = [
    ("utt2spk", "ann-1 ann", "ann-1 ann x", "utt2spk:1: 'ann-1': expected one speaker id"),
    ("text", "ann-2 some words\n", "", "text: utterance 'ann-2' of utt2spk is missing"),
    ("text", "ann-2 some", "ann-2b some", "text:2: 'ann-2b': no such utterance in utt2spk"),
    ("text", "ann-2 some words", "ann-2", "text:2: 'ann-2': expected a transcript, found none"),
    ("text", "ann-2 some words", "ann-2  ", "text:2: 'ann-2': expected a transcript, found none"),
    ("text", "ann-2 some", "ann-2 <s>", "text:2: 'ann-2': holds the symbol <s>"),
    ("text", "ann-2 some", "ann-2 a\u00a0b", "text:2: 'ann-2': character U+00A0"),
    ("text", "ann-2 some", "ann-2 a\u0007b", "text:2: 'ann-2': character U+0007"),
    ("utt2dur", "ann-3 0.5\n", "", "utt2dur: utterance 'ann-3' of utt2spk is missing"),
    ("utt2dur", "ann-3 0.5", "ann-3 0", "utt2dur:3: 'ann-3': expected a positive number of seconds"),
    ("utt2dur", "ann-3 0.5", "ann-3 0.9", "utt2dur:3: 'ann-3': says 0.9 s, the recording has 0.500 s"),
    ("utt2num_frames", "ann-3 48", "ann-3 48.5", "utt2num_frames:3: 'ann-3': expected a whole number"),
    ("utt2num_frames", "ann-3 48", "ann-3 47", "feats.scp:3: 'ann-3': utt2num_frames says 47 frames, found 48"),
    ("utt2label", "ann-2 dog", "ann-2 dog,", "utt2label:2: 'ann-2': an id is empty"),
    ("utt2label", "ann-2 dog", "ann-2 doge", "utt2label:2: 'ann-2': label 'doge' is not in labels.txt"),
    ("labels.txt", "dog 1", "dog 2", "labels.txt:2: index 2: expected 0 to 1"),
    ("frame_shift", "0.01", "abc", "frame_shift:1: expected one positive number, found 'abc'"),
    ("spk2gender", "ann f", "ann x", "spk2gender:1: 'ann': expected m or f"),
    ("spk2gender", "ann f\n", "", "spk2gender: speaker 'ann' of utt2spk is missing"),
    ("wav.scp", "ann-1 ", "ann-1 ~/", "wav.scp:1: 'ann-1': '~' is not expanded"),
    ("wav.scp", "ann-1 ", "ann-1 cat | x | ", "wav.scp:1: 'ann-1': "),
    ("feats.scp", "f.ark", "gone.ark", "feats.scp:1: 'ann-1': '"),
    ("spk2utt", "ann ann-1 ann-2", "ann ann-2 ann-1", "spk2utt:1: 'ann': its utterances are not those of utt2spk"),
    ("spk2utt", "cy cy-1", "dee cy-1", "spk2utt:3: 'dee': no such speaker in utt2spk"),
    ("text", "ann-1 some words\n", "ann-1 some words\nann-1 other\n", "text:2: 'ann-1' is there already, on line 1"),
    ("utt2spk", "ann-1 ann\n", "ann-1 ann\r\n", "utt2spk:1: carriage return (1 lines)"),
]


@pytest.mark.parametrize(("name", "old", "new", "problem"), RULES, ids=range(len(RULES)))
def test_each_rule_has_file_line_and_key(right, name, old, new, problem):
    edit(right / name, old, new)
    found = find_problems(right, FULL)
    assert any(line.startswith(f"{right}/{problem}") for line in found), found
    assert all("\n" not in line for line in found)


SEGMENT_RULES = [
    ("segments", "ann-1 0.00 0.10", "ann-1 0.20 0.10", "segments:1: 'ann-1-0': expected 0 <= start < end"),
    ("segments", "ann-1 0.00 0.10", "ann-1 0.00 -1", "segments:1: 'ann-1-0': expected 0 <= start < end"),
    ("segments", "ann-1 0.00 0.10", "ann-1 0.00", "segments:1: 'ann-1-0': expected 'recording start end'"),
    ("segments", "ann-1 0.00 0.10", "zoe 0.00 0.10", "wav.scp: recording 'zoe' of segments is missing"),
    ("segments", "0.10\nann-1-1", "3.0\nann-1-1", "segments:1: 'ann-1-0': ends at 3 s, its recording at 0.500 s"),
    ("wav.scp", "cy-1 ", "cy-0 ", "wav.scp:2: 'cy-0': no such recording in segments"),
]


@pytest.mark.parametrize(("name", "old", "new", "problem"), SEGMENT_RULES, ids=range(len(SEGMENT_RULES)))
def test_rules_of_segments(segmented, name, old, new, problem):
    edit(segmented / name, old, new)
    found = find_problems(segmented, Checks(check_audio=True))
    assert any(line.startswith(f"{segmented}/{problem}") for line in found), found


@pytest.mark.parametrize(
    ("name", "checks"),
    [
        ("utt2spk", Checks()),
        ("spk2utt", Checks()),
        ("wav.scp", Checks()),
        ("feats.scp", Checks(require_feats=True)),
        ("text", Checks(require_text=True)),
        ("utt2label", Checks(require_labels=True)),
        ("labels.txt", Checks(require_labels=True)),
    ],
)
def test_required_files(right, name, checks):
    (right / name).unlink()
    assert any(line.startswith(f"{right / name}: no such file") for line in find_problems(right, checks))
    if name not in ("utt2spk", "spk2utt"):
        assert find_problems(right, Checks(require_wav=False)) == []


def test_speakers_out_of_order(tmp_path, right):
    (right / "utt2spk").write_text("".join(f"{u} {'ab'[i % 2]}\n" for i, u in enumerate(sorted("uvwx"))))
    assert any("speakers are not in order: 'w'" in p and "--spk-sort false" in p for p in find_problems(right))
    assert not any("speakers are not in order" in p for p in find_problems(right, Checks(spk_sort=False)))


def test_all_files_are_judged_at_once_and_long_lists_are_counted(right):
    edit(right / "text", "ann-2 some", "ann-2 <s>")
    edit(right / "utt2dur", "ann-3 0.5", "ann-3 0")
    assert len(find_problems(right)) == 2
    utts = [f"u{i:03d}" for i in range(100)]
    (right / "wav.scp").write_text("".join(f"{u} /none\n" for u in utts))
    found = [p for p in find_problems(right, Checks(check_files=False)) if "wav.scp:" in p and "no such utt" in p]
    assert len(found) == PER_FILE
    assert any("80 more like the last" in p for p in find_problems(right))


def test_commands_need_permission(right):
    wav = (right / "wav.scp").read_text().splitlines()
    wav[0] = f"ann-1 cat '{wav[0].split(' ', 1)[1]}' |"
    (right / "wav.scp").write_text("\n".join(wav) + "\n")
    assert any("a command, not a file" in p for p in find_problems(right))
    assert find_problems(right, Checks(allow_pipes=True, check_audio=True)) == []


def audio_of(right, utt):
    return right.parent / "au dio" / f"{utt}.wav"


def test_deep_check_of_audio(right):
    audio_of(right, "ann-2").write_bytes(b"")
    audio_of(right, "ann-3").write_bytes(audio_of(right, "ann-3").read_bytes()[:1000])
    soundfile.write(audio_of(right, "bob's-1"), np.zeros(4000), 8000)
    soundfile.write(audio_of(right, "bob's-2"), np.zeros((8000, 2)), 16000)
    audio_of(right, "cy-1").unlink()
    assert len(find_problems(right)) == 1  # without decoding only the missing file shows
    found = find_problems(right, FULL)
    for utt, what in {
        "wav.scp:2: 'ann-2'": "empty",
        "wav.scp:3: 'ann-3'": "truncated",
        "wav.scp:4: 'bob's-1'": "expected 16000 Hz, found 8000 Hz",
        "wav.scp:5: 'bob's-2'": "expected one channel, found 2",
        "wav.scp:6: 'cy-1'": "no such file",
    }.items():
        assert any(utt in p and what in p for p in found), (utt, found)
    assert any(
        "ann-1" in p and "expected 8000" in p for p in find_problems(right, Checks(check_audio=True, sample_rate=8000))
    )


def test_deep_check_of_features(right, tmp_path):
    ark = tmp_path / "bad.ark"
    with ArkWriter(ark, tmp_path / "bad.scp") as writer:
        writer.write("ann-1", np.zeros((48, 4)))
        writer.write("ann-2", np.zeros((48, 5)))
        writer.write("ann-3", np.zeros((48, 4)))
    data = bytearray(ark.read_bytes())
    data[21:25] = np.float32(np.nan).tobytes()
    ark.write_bytes(bytes(data[:-10]))
    feats = (right / "feats.scp").read_text().splitlines()
    feats[:3] = (tmp_path / "bad.scp").read_text().splitlines()
    (right / "feats.scp").write_text("\n".join(feats) + "\n")
    assert find_problems(right) == []
    found = find_problems(right, FULL)
    assert len(found) == 3
    assert "feats.scp:1: 'ann-1': 1 of 192 values are NaN" in found[0]
    assert "feats.scp:2: 'ann-2': expected 4 columns" in found[1]
    assert "truncated archive" in found[2]


def test_validate_tells_the_first_and_how_many(right, tmp_path):
    edit(right / "text", "ann-2 some", "ann-2 <s>")
    edit(right / "utt2dur", "ann-3 0.5", "ann-3 0")
    with pytest.raises(AsitError, match="and 1 more; asit-validate-data-dir lists them"):
        validate(right)
    with pytest.raises(AsitError, match="no such data directory"):
        validate(tmp_path / "none")


def test_command(right, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["asit-validate-data-dir", "--data-dir", str(right), "--require-feats", "true"])
    assert validate_data_dir.main() == 0
    assert "7 utterances, 3 speakers" in capsys.readouterr().out
    edit(right / "text", "ann-2 some", "ann-2 <s>")
    assert validate_data_dir.main() == 1
    shown = capsys.readouterr().err
    assert "text:2: 'ann-2'" in shown
    assert "1 problem; asit-fix-data-dir" in shown
