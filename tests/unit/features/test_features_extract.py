from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from asit.config import load
from asit.errors import AsitError
from asit.features.collect import CollectSettings, collect
from asit.features.extract import ExtractSettings, extract
from asit.features.fbank import Fbank, FbankSettings
from asit.kaldi.ark import read_matrix
from asit.kaldi.data_dir import DataDir, write_data_dir
from asit.kaldi.data_dir_parts import split
from asit.kaldi.table import read_table

FRONT_END = FbankSettings(num_mel_bins=40, dither=1e-4)


def corpus(folder, count=12, rate=16000):
    """`count` clips of 0.3 s and longer; the folder of the wav files has a space in its name."""
    audio = folder / "wav files"
    audio.mkdir()
    generator, paths = np.random.default_rng(0), {}
    for i in range(count):
        path = audio / f"{i}.wav"
        soundfile.write(path, 0.1 * generator.standard_normal(4800 + 160 * i), rate)
        paths[f"s-{i:03d}"] = str(path)
    return write_data_dir(folder / "data", {"wav.scp": paths, "utt2spk": dict.fromkeys(paths, "s")})


def part(path, out, name="raw", **options):
    """Extract one directory in this process."""
    options = {"fbank": FRONT_END, **options}
    return extract(ExtractSettings(data_dir=path, out_dir=str(out), name=name, **options))


def gather(data, out, nj=0):
    return collect(CollectSettings(data_dir=data.path, out_dir=str(out), name="raw", nj=nj))


def make(data, out, nj=1):
    """All parts and the collection, in this process."""
    for j, path in enumerate(split(data.path, nj), 1):
        part(path, out, f"raw.{j}", partial=True)
    return gather(data, out, nj)


def features(data):
    return {utt: read_matrix(spec).tobytes() for utt, spec in read_table(data.file("feats.scp")).items()}


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_tables_and_values(tmp_path):
    data = corpus(tmp_path)
    assert make(data, tmp_path / "out put", nj=3) == (12, 12)
    done = DataDir(data.path)
    fbank = Fbank(FRONT_END)
    assert list(done.feats) == list(done.utt2num_frames) == list(done.utt2dur) == data.utts
    for utt in data.utts:
        wave, _ = soundfile.read(data.wav_scp[utt], dtype="float32")
        expected = fbank(wave, utt)
        np.testing.assert_array_equal(read_matrix(done.feats[utt]), expected)
        assert done.utt2num_frames[utt] == len(expected)
        assert done.utt2dur[utt] == pytest.approx(len(wave) / 16000, abs=1e-6)
    assert done.frame_shift == 0.01
    assert load(FbankSettings, done.file("conf/fbank.yaml")) == FRONT_END
    assert not done.has("failed_utts")


def test_bytes_do_not_depend_on_the_number_of_jobs(tmp_path):
    data = corpus(tmp_path)
    found = []
    for nj in (1, 2, 5):
        make(data, tmp_path / f"out{nj}", nj=nj)
        found.append(features(data))
    assert found[0] == found[1] == found[2]


def test_segments_are_cut_from_recordings(tmp_path):
    data = corpus(tmp_path, 2)
    recordings = {"r0": data.wav_scp["s-000"], "r1": data.wav_scp["s-001"]}
    tables = {"wav.scp": recordings, "segments": {"a-1": "r0 0.05 0.2", "a-2": "r1 0.1 0.31"}}
    cut = write_data_dir(tmp_path / "cut", {**tables, "utt2spk": {"a-1": "a", "a-2": "a"}})
    make(cut, tmp_path / "out")
    done = DataDir(cut.path)
    wave, _ = soundfile.read(recordings["r0"], dtype="float32")
    np.testing.assert_array_equal(read_matrix(done.feats["a-1"]), Fbank(FRONT_END)(wave[800:3200], "a-1"))
    assert done.utt2dur == {"a-1": 0.15, "a-2": 0.21}


@pytest.mark.parametrize("compression", [0, 2])
def test_killed_and_rerun_gives_the_same_bytes(tmp_path, compression):
    data = corpus(tmp_path)
    command = [sys.executable, "-m", "asit.bin.make_fbank", "--data-dir", data.path, "--num-mel-bins", "40"]
    wait = f"cat '{data.wav_scp['s-007']}' |"
    tables = {"wav.scp": data.wav_scp | {"s-007": wait}, "utt2spk": data.utt2spk}
    data = write_data_dir(tmp_path / "waiting", tables)
    command[command.index("--data-dir") + 1] = data.path
    command += [
        "--allow-pipes",
        "true",
        "--name",
        "raw",
        "--dither",
        "0.0001",
        "--compression",
        str(compression),
        "--out-dir",
    ]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    expected = contents(tmp_path / "whole")
    out, gate = tmp_path / "killed", wait[5:-3]
    os.rename(gate, tmp_path / "kept.wav")
    os.mkfifo(gate)  # the process reaches the eighth clip and waits there
    process = subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    writer = reader_of(gate, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    os.close(writer)
    os.replace(tmp_path / "kept.wav", gate)
    left = contents(out)
    assert left
    assert all(".tmp-" in name for name in left), "a file has its final name although the process was killed"
    subprocess.run([*command, str(out)], check=True, capture_output=True)
    found = contents(out)
    assert found.keys() == expected.keys()
    scp = found.pop("raw.scp").replace(b"/killed/", b"/whole/")
    assert scp == expected.pop("raw.scp")
    assert found == expected


def reader_of(fifo, process):
    """A descriptor of the fifo's writing end, once the process reads it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert process.poll() is None
            time.sleep(0.01)
    raise AssertionError("the process did not reach the clip")


def test_up_to_five_percent_may_fail(tmp_path, capsys):
    data = corpus(tmp_path, 20)
    os.truncate(data.wav_scp["s-007"], 0)
    assert make(data, tmp_path / "out", nj=2) == (19, 20)
    done = DataDir(data.path)
    assert "s-007" not in done.feats
    assert len(done.feats) == len(done.utt2dur) == len(done.utt2num_frames) == 19
    failed = (tmp_path / "data" / "failed_utts").read_text()
    assert failed.startswith("s-007 utterance 's-007': ")
    assert "empty (0 bytes)" in failed
    assert "features of 19 of 20 utterances, 1 failed" in capsys.readouterr().err


def test_more_failures_stop_the_collection_and_name_the_utterances(tmp_path):
    data = corpus(tmp_path, 20)
    make(data, tmp_path / "out", nj=2)
    os.truncate(data.wav_scp["s-007"], 0)
    os.remove(data.wav_scp["s-012"])
    with pytest.raises(AsitError, match=r"features of 18 of 20 utterances, 2 failed .*'s-007'.*'s-012'.*95 %"):
        make(data, tmp_path / "out", nj=2)
    assert not DataDir(data.path).has("feats.scp")
    assert list(read_table(data.file("failed_utts"))) == ["s-007", "s-012"]


def test_one_process_judges_itself_unless_it_is_a_part(tmp_path):
    data = corpus(tmp_path, 4, rate=8000)
    with pytest.raises(AsitError, match=r"features of 0 of 4 utterances.*expected 16000 Hz, found 8000 Hz.*--resample"):
        part(data.path, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["raw.failed_utts"]
    assert part(data.path, tmp_path / "out", resample=True) == (4, 4)
    assert gather(data, tmp_path / "out") == (4, 4)


def test_bad_clips_are_listed_with_the_reason(tmp_path, capsys):
    data = corpus(tmp_path, 5)
    soundfile.write(data.wav_scp["s-000"], np.zeros(399), 16000)
    soundfile.write(data.wav_scp["s-001"], np.zeros((4000, 2)), 16000)
    soundfile.write(data.wav_scp["s-002"], np.full(4000, np.nan, np.float32), 16000, subtype="FLOAT")
    loud = (1e25 * np.random.default_rng(0).standard_normal(4000)).astype(np.float32)
    soundfile.write(data.wav_scp["s-003"], loud, 16000, subtype="FLOAT")
    with np.errstate(all="ignore"):
        counts = part(data.path, tmp_path, partial=True)
    assert counts == (1, 5)
    reasons = read_table(tmp_path / "raw.failed_utts")
    assert "expected at least 400 samples (25 ms) for one frame, found 399" in reasons["s-000"]
    assert "expected one channel, found 2" in reasons["s-001"]
    assert "NaN" in reasons["s-002"]
    assert "feature values are NaN or infinite" in reasons["s-003"]
    assert capsys.readouterr().err.count("warning: ") == 4


def test_missing_recording_and_commands_are_failures(tmp_path):
    data = corpus(tmp_path, 2)
    tables = {"wav.scp": {"r": data.wav_scp["s-000"]}, "segments": {"a-1": "gone 0 0.2", "a-2": "r 0 0.2"}}
    cut = write_data_dir(tmp_path / "cut", {**tables, "utt2spk": {"a-1": "a", "a-2": "a"}})
    part(cut.path, tmp_path, partial=True)
    assert "recording 'gone' is not in" in read_table(tmp_path / "raw.failed_utts")["a-1"]
    victim = tmp_path / "victim"
    piped = {"wav.scp": {"a": f"touch '{victim}' |"}, "utt2spk": {"a": "a"}}
    part(write_data_dir(tmp_path / "p", piped).path, tmp_path, "p", partial=True)
    assert "a" in read_table(tmp_path / "p.failed_utts")
    assert not victim.exists()


def test_collection_refuses_parts_that_do_not_fit(tmp_path):
    data, out = corpus(tmp_path), tmp_path / "out"
    make(data, out, nj=2)
    with pytest.raises(AsitError, match=r"raw\.3\.fbank\.yaml: no such file: 1 of 3 parts are not finished"):
        gather(data, out, 3)
    with pytest.raises(AsitError, match=r"6 utterances are in no part, such as 's-006'.*another --nj"):
        gather(data, out, 1)
    part(f"{data.path}/split2/2", out, "raw.2", fbank=FbankSettings(num_mel_bins=23))
    with pytest.raises(AsitError, match=r"raw\.2\.fbank\.yaml: num_mel_bins is 23, expected 40 as in .*raw\.1\."):
        gather(data, out, 2)
    part(f"{data.path}/split2/1", out, "raw.2")
    with pytest.raises(AsitError, match="is in another part too"):
        gather(data, out, 2)
    (out / "raw.2.fbank.yaml").write_text("num_mel_bin: 40\n")
    with pytest.raises(AsitError, match=r"raw\.2\.fbank\.yaml:1: unknown option 'num_mel_bin'"):
        gather(data, out, 2)


def test_commands_run_only_when_allowed_and_fail_alone(tmp_path, capsys):
    source = corpus(tmp_path, 20)
    paths = {utt: f"cat '{path}' |" for utt, path in source.wav_scp.items()} | {"s-003": "echo why >&2; exit 3 |"}
    data = write_data_dir(tmp_path / "commands", {"wav.scp": paths, "utt2spk": source.utt2spk})
    with pytest.raises(AsitError, match=r"0 of 20 .*--allow-pipes true"):
        part(data.path, tmp_path / "out")
    part(data.path, tmp_path / "out", allow_pipes=True)
    assert "'s-003': command 'echo why >&2; exit 3 |' failed with exit code 3: why" in capsys.readouterr().err
    part(source.path, tmp_path / "files")
    found, expected = (read_table(tmp_path / folder / "raw.scp") for folder in ("out", "files"))
    assert found.keys() == expected.keys() - {"s-003"}
    assert all(read_matrix(found[u]).tobytes() == read_matrix(expected[u]).tobytes() for u in found)


@pytest.mark.parametrize("nj", [0, 2])
def test_other_ranges_are_named_at_the_end(tmp_path, capsys, nj):
    data = corpus(tmp_path, 3)
    wave, _ = soundfile.read(data.wav_scp["s-001"])
    soundfile.write(data.wav_scp["s-001"], wave * 32768, 16000, subtype="FLOAT")
    if nj:
        make(data, tmp_path / "out", nj)
    else:
        part(data.path, tmp_path / "out")
    said = capsys.readouterr().err
    assert said.count("1 of 3 utterances are far louder than full scale") == 1
    assert "s-001: samples up to" in said
