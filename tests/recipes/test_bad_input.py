"""Each wrong input gives one clear line that names what is wrong, a non-zero exit, and nothing under a final name.

A small recipe is run once, command by command; each test damages a copy of it. Paths have spaces.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

UTTS = [f"s{i % 2}-{i:02d}" for i in range(8)]
LABELS = {utt: ("yes", "no")[i // 2 % 2] for i, utt in enumerate(UTTS)}
FEATS = ["--data-dir", "data/my set", "--out-dir", "fbank", "--name", "raw", "--config", "conf/fbank.yaml"]
TRAIN = ["--steps", "2", "--warmup", "1", "--batch-size", "4", "--threads", "1", "--ngpu", "0", "--num-workers"]
TRAIN += ["0", "--tensorboard", "false"]
MODEL = ["--embed-dim", "16", "--depth", "1", "--heads", "2", "--patch", "8", "0"]
CROPS = ["--global-frames", "32", "--local-crops", "0", "--head-hidden", "8", "--head-bottleneck", "8"]
PRETRAIN = ["--data-dir", "data/my set", "--out-dir", "exp/new", "--prototypes", "8", *MODEL, *CROPS, *TRAIN]
FINETUNE = ["--train-dir", "data/my set", "--out-dir", "exp/new", "--init", "exp/pretrain/backbone.safetensors", *TRAIN]
EVALUATE = ["--model", "exp/task/model.safetensors", "--data-dir", "data/my set", "--out-dir", "exp/new", "--ngpu", "0"]
PREDICT = ["--model", "exp/task/model.safetensors", "--wav"]
UNFINISHED = re.compile(r"\.tmp-|\.part$")
ALLOWED = {
    f"exp/new/{name}" for name in ("train.log", "metrics.jsonl", "config.yaml", ".lock")
}  # say what was tried, hold no result


def call(name: str, *words: str) -> int:
    """Exit code of a command run in this process."""
    before, sys.argv = sys.argv, [f"asit-{name.replace('_', '-')}", *words]
    try:
        return importlib.import_module(f"asit.bin.{name}").main()
    except SystemExit as leaving:
        return leaving.code
    finally:
        sys.argv = before
        for handler in list(logging.getLogger().handlers):  # of the file of a run that has ended
            if isinstance(handler, logging.FileHandler):
                logging.getLogger().removeHandler(handler)
                handler.close()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A recipe directory with data, features, statistics, a backbone and a model."""
    home = tmp_path_factory.mktemp("a finished recipe")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        random = np.random.default_rng(0)
        for folder in ("wav", "data/my set", "conf", "exp"):
            Path(folder).mkdir(parents=True)
        for i, utt in enumerate(UTTS):
            soundfile.write(f"wav/{utt}.wav", 0.1 * random.standard_normal(4800 + 80 * i), 8000)
        tables = {
            "wav.scp": {utt: f"wav/{utt}.wav" for utt in UTTS},
            "utt2spk": {utt: utt[:2] for utt in UTTS},
            "text": {utt: LABELS[utt].upper() for utt in UTTS},
            "utt2label": LABELS,
            "spk2utt": {spk: " ".join(sorted(u for u in UTTS if u[:2] == spk)) for spk in ("s0", "s1")},
        }
        for name, table in tables.items():
            Path("data/my set", name).write_text("".join(f"{k} {v}\n" for k, v in sorted(table.items())))
        Path("data/my set/labels.txt").write_text("no 0\nyes 1\n")
        Path("conf/fbank.yaml").write_text("sample_rate: 8000\nnum_mel_bins: 16\n")
        assert call("validate_data_dir", "--data-dir", "data/my set") == 0
        assert call("make_fbank", *FEATS) == 0
        assert call("collect_feats", *FEATS[:6]) == 0
        assert call("compute_stats", "--data-dir", "data/my set") == 0
        assert call("pretrain", *PRETRAIN, "--out-dir", "exp/pretrain", "--export", "student") == 0
        assert call("finetune", *FINETUNE, "--out-dir", "exp/task") == 0
        assert call("evaluate", *EVALUATE, "--out-dir", "exp/task/test") == 0
    return home


@pytest.fixture
def home(finished, tmp_path, monkeypatch):
    """A copy to damage, as the working directory."""
    copy = tmp_path / "a recipe"
    shutil.copytree(finished, copy)
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def refused(home, capfd):
    """Runs a command that must fail; returns its one error line."""

    def run(name: str, *words: str, exits: int = 1, keeps: bool = True) -> str:
        before = snapshot(home)
        capfd.readouterr()
        code = call(name, *words)
        out, err = capfd.readouterr()
        assert "Traceback" not in err + out, err
        lines = [line for line in err.splitlines() if ": error: " in line]
        assert len(lines) == 1, err
        assert err.splitlines()[-1] == lines[0]
        assert code == exits, err
        after = snapshot(home)
        new = {p for p in after if after[p] != before.get(p)} - ALLOWED
        assert not [p for p in after if UNFINISHED.search(p)]
        assert not keeps or not new, f"left behind: {new}"
        return lines[0]

    return run


def snapshot(home: Path) -> dict[str, bytes]:
    return {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file()}


def edit(path: str, change) -> None:
    content = Path(path).read_bytes()
    Path(path).write_bytes(change(content))


# --- the data directory ----------------------------------------------------------------------------

DATA = "data/my set"
DAMAGED_TABLES = [
    ("wav.scp", lambda b: b.replace(b"s0-02 ", b"s0-00 "), [r"wav\.scp:2: .*'s0-00'"]),
    ("wav.scp", lambda b: b"".join(reversed(b.splitlines(True))), [r"wav\.scp:2: .*sort"]),
    ("wav.scp", lambda b: b.replace(b"\n", b"\r\n"), [r"wav\.scp:1: .*(CR|carriage|Windows|line end)"]),
    ("text", lambda b: b.replace(b"YES", b"\xff\xfe"), [r"text:\d: .*UTF-8"]),
    ("utt2spk", lambda b: b.replace(b"s0-00 s0\n", b"s0-00 s0 s1\n"), [r"utt2spk:1: "]),
    ("utt2spk", lambda b: b.rstrip(b"\n"), [r"utt2spk:8: .*newline"]),
    ("utt2spk", lambda b: b"", [r"utt2spk.*empty"]),
    ("wav.scp", lambda b: b.replace(b"wav/s0-00.wav", b"wav/gone.wav"), [r"s0-00.*gone\.wav"]),
    ("spk2utt", lambda b: b.replace(b"s0-00 ", b""), [r"spk2utt"]),
    ("wav.scp", lambda b: b.replace(b"wav/s0-00.wav", b"cat wav/s0-00.wav |"), [r"wav\.scp:1: .s0-00.: a command"]),
    ("utt2num_frames", lambda b: b.replace(b" ", b" -", 1), [r"utt2num_frames:1: "]),
]


@pytest.mark.parametrize(("table", "change", "expected"), DAMAGED_TABLES)
def test_validation(refused, capfd, home, table, change, expected) -> None:
    edit(f"{DATA}/{table}", change)
    code = call("validate_data_dir", "--data-dir", DATA)
    err = capfd.readouterr().err
    assert code == 1
    assert "Traceback" not in err
    assert len([line for line in err.splitlines() if ": error: " in line]) == 1
    for pattern in expected:
        assert re.search(pattern, err), err


@pytest.mark.parametrize(("table", "change", "expected"), [row for row in DAMAGED_TABLES[:4] if row[0] == "wav.scp"])
def test_commands_that_read_damaged_tables(refused, table, change, expected) -> None:
    edit(f"{DATA}/{table}", change)
    assert re.search(expected[0], refused("make_fbank", *FEATS))


def test_no_directory(refused) -> None:
    for name, words in (
        ("validate_data_dir", ["--data-dir", "data/none"]),
        ("make_fbank", [*FEATS, "--data-dir", "data/none"]),
        ("compute_stats", ["--data-dir", "data/none"]),
        ("pretrain", [*PRETRAIN, "--data-dir", "data/none"]),
        ("finetune", [*FINETUNE, "--train-dir", "data/none"]),
        ("evaluate", [*EVALUATE, "--data-dir", "data/none"]),
        ("select_feats", ["--from-dir", "data/none", "--data-dirs", DATA]),
    ):
        assert "data/none" in refused(name, *words), name
        shutil.rmtree("exp/new", ignore_errors=True)


# --- audio -----------------------------------------------------------------------------------------


def tone(path: str, samples: int = 4800, rate: int = 8000, channels: int = 1, **options) -> None:
    wave = np.sin(np.arange(samples) / 5)
    soundfile.write(path, 0.1 * np.stack([wave] * channels, axis=1), rate, **options)


def truncated_flac(path: str) -> None:
    soundfile.write("whole.flac", np.random.default_rng(0).standard_normal(8000) * 0.1, 8000)
    Path(path).write_bytes(Path("whole.flac").read_bytes()[:5000])
    Path("whole.flac").unlink()


def nan_wave(path: str) -> None:
    soundfile.write(path, np.full(4800, np.nan, np.float32), 8000, subtype="FLOAT")


AUDIO = {
    "empty file": (lambda p: Path(p).write_bytes(b""), "the file is empty"),
    "no samples": (lambda p: tone(p, 0), "no samples"),
    "not audio": (lambda p: Path(p).write_text("words"), "cannot be decoded"),
    "cut short": (lambda p: edit(p, lambda b: b[:3000]), "truncated"),
    "truncated flac": (truncated_flac, "cannot be decoded|truncated"),
    "wrong rate": (lambda p: tone(p, rate=16000), "expected 8000 Hz, found 16000 Hz.*resample"),
    "stereo": (lambda p: tone(p, channels=2), "expected one channel, found 2.*--channel 0"),
    "NaN": (nan_wave, "4800 of 4800 samples are NaN"),
    "too short": (lambda p: tone(p, 100), "at least 200 samples"),
    "missing": (os.unlink, "no such file"),
    "a pipe": (lambda p: (os.unlink(p), os.mkfifo(p)), "found a pipe"),
    "another format": (lambda p: Path(p).write_bytes(bytes(99)), "cannot be decoded"),
    "a folder": (lambda p: (os.unlink(p), os.mkdir(p)), "found a folder"),
}


@pytest.mark.parametrize("kind", AUDIO)
def test_audio(refused, kind) -> None:
    """One bad clip of eight is more than Kaldi's 5 %: the utterance and file are named, no archive is left."""
    damage, expected = AUDIO[kind]
    damage("wav/s0-02.wav")
    shutil.rmtree("fbank")
    line = refused("make_fbank", *FEATS, keeps=False)
    assert re.search(rf"7 of 8 utterances.*s0-02.*{expected}", line)
    assert os.listdir("fbank") == ["raw.failed_utts"]
    assert Path("fbank/raw.failed_utts").read_text().startswith("s0-02 ")


@pytest.mark.parametrize("kind", [k for k in AUDIO if k not in ("wrong rate", "a pipe", "stereo")])
def test_prediction(refused, kind) -> None:
    damage, expected = AUDIO[kind]
    damage("wav/s0-02.wav")
    expected = {"a folder": "below this folder, found none"}.get(kind, expected)
    assert re.search(rf"wav/s0-02\.wav.*{expected}", refused("predict", *PREDICT, "wav/s0-02.wav"))


# --- features --------------------------------------------------------------------------------------


def corrupt(b: bytes) -> bytes:
    return b[:6] + b"XXXXXXXX" + b[14:]


def with_nan(b: bytes) -> bytes:
    """The first matrix, s0-00: binary mark, 'FM ', two sizes of five bytes, values."""
    at, size = b.index(b"\0BFM") + 15, 16 * 30 * 4
    return b[:at] + np.full(size // 4, np.nan, np.float32).tobytes() + b[at + size :]


DAMAGED_FEATURES = {
    "cut": (lambda: edit("fbank/raw.ark", lambda b: b[: len(b) // 2]), r"raw\.ark"),
    "garbage": (lambda: edit("fbank/raw.ark", corrupt), r"s0-00.*raw\.ark|raw\.ark.*s0-00"),
    "gone": (lambda: os.unlink("fbank/raw.ark"), r"raw\.ark.*no such file"),
    "not a number": (lambda: edit("fbank/raw.ark", with_nan), r"s0-00.*(NaN|finite)"),
    "no table": (lambda: os.unlink(f"{DATA}/feats.scp"), r"feats\.scp"),
    "wrong table": (lambda: edit(f"{DATA}/feats.scp", lambda b: b.replace(b"ark:", b"ark:9999", 1)), r"s0-00"),
    "a command": (lambda: edit(f"{DATA}/feats.scp", lambda b: b.replace(b" fbank", b" touch x; cat fbank", 1)
                               .replace(b"\n", b" |\n", 1)), r"s0-00.*(pipe|command|\|)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGED_FEATURES)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("compute_stats", ["--data-dir", DATA]),
        ("pretrain", PRETRAIN),
        ("finetune", FINETUNE),
        ("evaluate", EVALUATE),
    ],
)
def test_features(refused, kind, name, words) -> None:
    damage, expected = DAMAGED_FEATURES[kind]
    damage()
    assert re.search(expected, refused(name, *words)), name
    assert not Path("x").exists(), "a command of a table was run"


def test_statistics(refused) -> None:
    for text, expected in (
        ("mean: 1\n", r"stats\.yaml: expected mean, std and frames"),
        ("mean: 1\nstd: 0\nframes: 3\n", r"stats\.yaml"),
        ("mean: .nan\nstd: 1\nframes: 3\n", r"stats\.yaml"),
        ("mean: [\n", r"stats\.yaml:\d: not valid YAML"),
    ):
        Path(f"{DATA}/stats.yaml").write_text(text)
        assert re.search(expected, refused("pretrain", *PRETRAIN))
        shutil.rmtree("exp/new", ignore_errors=True)
    os.unlink(f"{DATA}/stats.yaml")
    assert "asit-compute-stats" in refused("pretrain", *PRETRAIN)


def test_front_end(refused) -> None:
    Path(f"{DATA}/conf/fbank.yaml").write_text("sample_rate: 8000\nnum_mel_bins: 16\nwindow: povey\n")
    for name, words in (("finetune", FINETUNE), ("evaluate", EVALUATE)):
        assert "option 'window': expected hanning, found povey" in refused(name, *words)
        shutil.rmtree("exp/new", ignore_errors=True)
    Path(f"{DATA}/conf/fbank.yaml").write_text("sample_rate: 8000\nnum_mel_bin: 16\n")
    assert re.search(r"fbank\.yaml:2: unknown option.*num_mel_bins", refused("pretrain", *PRETRAIN))


def test_sharing_features(refused, home) -> None:
    shutil.copytree(DATA, "data/other")
    for name in ("utt2spk", "wav.scp", "text", "utt2label"):
        edit(f"data/other/{name}", lambda b: b.replace(b"s0-00", b"s0-01"))
    os.unlink("data/other/feats.scp")
    line = refused("select_feats", "--from-dir", DATA, "--data-dirs", "data/other")
    assert re.search(r"no entry for 1 of the 8 utterances of data/other, such as 's0-01'", line)
    assert not Path("data/other/feats.scp").exists()


# --- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words", "exits", "expected"),
    [
        ("pretrain", [*PRETRAIN, "--drop-ration", "1"], 2, "'--drop-ration': did you mean '--drop-ratio'"),
        ("pretrain", [*PRETRAIN, "--steps", "0"], 2, "--steps: expected"),
        ("pretrain", [*PRETRAIN, "--lr", "-1"], 2, "--lr: expected"),
        ("pretrain", [*PRETRAIN, "--lr", "fast"], 2, "--lr: expected a number or a list of such, found 'fast'"),
        ("pretrain", [*PRETRAIN, "--warmup", "2"], 1, "--warmup"),
        ("pretrain", [*PRETRAIN, "--patch", "64", "0"], 1, "--patch"),
        ("pretrain", [*PRETRAIN, "--embed-dim", "15"], 1, "embed_dim 15 is not divisible by heads 2"),
        ("pretrain", [*PRETRAIN, "--drop-ratio", "2"], 2, "--drop-ratio: expected"),
        ("pretrain", [*PRETRAIN, "--teacher-momentum", "2"], 2, "--teacher-momentum: expected"),
        ("pretrain", [*PRETRAIN, "--teacher-temp", "0"], 2, "--teacher-temp: expected"),
        ("pretrain", [*PRETRAIN, "--global-frames", "0"], 2, "--global-frames: expected"),
        ("pretrain", [*PRETRAIN, "--prototypes", "0"], 2, "--prototypes: expected"),
        ("pretrain", [*PRETRAIN, "--patch-share", "0"], 2, "--patch-share: expected"),
        ("pretrain", [*PRETRAIN, "--masking", "gmlm"], 1, "did you mean 'gmml'"),
        ("pretrain", [*PRETRAIN, "--imagenet", "gone.safetensors"], 1, "gone.safetensors"),
        ("pretrain", [*PRETRAIN, "--config", "conf/gone.yaml"], 1, "conf/gone.yaml: cannot read"),
        ("finetune", [*FINETUNE, "--init", "exp/gone"], 1, "exp/gone: no such model file"),
        ("finetune", [*FINETUNE, "--init", "conf/fbank.yaml"], 1, "conf/fbank.yaml"),
        ("finetune", [*FINETUNE, "--init", "exp/pretrain/backbone.heads.safetensors"], 1, "found 'heads'"),
        ("finetune", [*FINETUNE, "--tags", "seed"], 1, "expected name=value, found 'seed'"),
        ("finetune", [*FINETUNE, "--crop-frames", "4"], 1, "frames"),
        ("finetune", [*FINETUNE, "--layer-decay", "0"], 2, "--layer-decay: expected"),
        ("finetune", FINETUNE[2:], 2, "missing --train-dir"),
        ("evaluate", [*EVALUATE, "--model", "exp/pretrain/backbone.safetensors"], 1, "of kind 'classifier'"),
        ("evaluate", [*EVALUATE, "--model", "exp"], 1, "exp"),
        ("predict", [*PREDICT, "wav/s0-00.wav", "--top-k", "0"], 2, "--top-k: expected at least 1"),
        ("predict", ["--model", "wav/s0-00.wav", "--wav", "wav/s0-00.wav"], 1, r"wav/s0-00\.wav"),
        ("make_fbank", [*FEATS, "--num-mel-bins", "9999"], 1, "num_mel_bins"),
        ("make_fbank", [*FEATS, "--compression", "9"], 2, "--compression: expected one of 0, 1"),
        ("make_fbank", [*FEATS, "--high-freq", "9000"], 1, "high_freq.*4000"),
        ("report", ["--exp-dirs", "conf", "--out", "R.md"], 1, r"conf.*metrics\.json"),
        ("run_local", ["--mem"], 1, "--mem"),
        ("run_local", ["JOB=1:x", "log/x.JOB.log", "true"], 1, "JOB=1:x"),
        ("run_local", ["JOB=1:2", "log/x.log", "true"], 1, r"log/x\.log"),
        ("run_local", ["log/x.log"], 1, "command"),
    ],
)  # fmt: skip
def test_options(refused, name, words, exits, expected) -> None:
    assert re.search(expected, refused(name, *words, exits=exits))


def test_labels(refused) -> None:
    edit(f"{DATA}/utt2label", lambda b: b.replace(b"s0-00 yes", b"s0-00 yess"))
    assert re.search(r"utt2label.*s0-00.*yess", refused("finetune", *FINETUNE))
    shutil.rmtree("exp/new", ignore_errors=True)
    os.unlink(f"{DATA}/utt2label")
    assert "utt2label" in refused("finetune", *FINETUNE)
    shutil.rmtree("exp/new", ignore_errors=True)
    edit(f"{DATA}/labels.txt", lambda b: b"no 0\nyes 0\n")
    assert re.search(r"labels\.txt:2", refused("finetune", *FINETUNE))


def test_model_files(refused) -> None:
    for damage in (lambda b: b[: len(b) // 2], lambda b: b"\x80\x04K\x01." + b, lambda b: b"", lambda b: b[:20]):
        whole = Path("exp/task/model.safetensors").read_bytes()
        edit("exp/task/model.safetensors", damage)
        assert "exp/task/model.safetensors" in refused("evaluate", *EVALUATE)
        Path("exp/task/model.safetensors").write_bytes(whole)


def test_records(refused) -> None:
    path = Path("exp/task/test/metrics.json")
    whole = json.loads(path.read_text())
    for text, expected in (
        ("{", "not valid JSON"),
        ("[]", "expected a JSON object"),
        (json.dumps({**whole, "metrik": 1}), "did you mean 'metric'"),
        (json.dumps({k: v for k, v in whole.items() if k != "tags"}), "'tags' is missing"),
    ):
        path.write_text(text)
        assert re.search(rf"test/metrics\.json.*{expected}", refused("report", "--out", "RESULTS.md"))


def test_failing_job(home) -> None:
    """Through the console script: index 2 fails, the others do not; the summary names it."""
    words = ["asit-run-local", "JOB=1:3", "log/x.JOB.log", "bash", "-c", "[ JOB != 2 ]"]
    shown = subprocess.run(words, capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    assert "1 / 3 failed, log is in log/x.*.log" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_console_scripts(home) -> None:
    """What was tested in this process is what a user sees."""
    for words, code, expected in (
        (["asit-split-data-dir", "--data-dir", "data/none", "--nj", "2"], 1, "asit-split-data-dir: error: data/none"),
        (["asit-make-fbank", *FEATS, "--nmae", "x"], 2, "asit-make-fbank: error: unknown option '--nmae'"),
        (["asit-select-feats", "--data-dirs", DATA], 2, "asit-select-feats: error: missing --from-dir"),
    ):
        shown = subprocess.run(words, capture_output=True, text=True, check=False)
        assert shown.returncode == code
        assert shown.stderr.startswith(expected)
        assert shown.stderr.count("\n") == 1
