"""tools/make_fbank.sh from a directory with a space in its name, with Kaldi's arguments."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asit.kaldi.data_dir import DataDir, write_data_dir

SCRIPT = Path(__file__).parents[2] / "tools" / "make_fbank.sh"


@pytest.fixture
def recipe(tmp_path):
    home = tmp_path / "my recipe"
    (home / "conf").mkdir(parents=True)
    (home / "wav").mkdir()
    (home / "conf" / "fbank.yaml").write_text("num_mel_bins: 40\n")
    paths = {f"s-{i}": f"wav/{i}.wav" for i in range(3)}
    for path in paths.values():
        soundfile.write(home / path, 0.1 * np.random.default_rng(0).standard_normal(4000), 16000)
    write_data_dir(home / "data" / "train", {"wav.scp": paths, "utt2spk": dict.fromkeys(paths, "s")})
    return home


def make_fbank(recipe, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(SCRIPT), *arguments], cwd=recipe, env=environment, capture_output=True, text=True, check=False
    )


def test_kaldis_command_line(recipe):
    arguments = ["--nj", "2", "--cmd", "asit-run-local --mem 1G", "data/train", "exp/make fbank", "fbank"]
    done = make_fbank(recipe, *arguments)
    assert done.returncode == 0, done.stderr
    assert "features of 3 of 3 utterances" in done.stdout
    assert sorted(p.name for p in (recipe / "exp" / "make fbank").glob("*.log")) == [
        "make_fbank_train.1.log",
        "make_fbank_train.2.log",
    ]
    data = DataDir(str(recipe / "data" / "train"))
    assert data.feats["s-2"].startswith("fbank/raw_fbank_train.2.ark:")
    assert "num_mel_bins: 40" in Path(data.file("conf/fbank.yaml")).read_text()
    again = make_fbank(recipe, "--nj=9", "data/train")  # more jobs than utterances; Kaldi's default folders
    assert again.returncode == 0, again.stderr
    assert DataDir(data.path).feats["s-2"].startswith("data/train/data/raw_fbank_train.3.ark:")


def test_failures_are_told_and_leave_no_feats_scp(recipe):
    assert make_fbank(recipe, "--nj", "1", "data/train").returncode == 0
    os.truncate(recipe / "wav" / "1.wav", 0)
    failed = make_fbank(recipe, "--nj", "2", "data/train")
    assert failed.returncode != 0
    assert "features of 2 of 3 utterances, 1 failed" in failed.stderr
    assert "'s-1'" in failed.stderr
    assert not (recipe / "data" / "train" / "feats.scp").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: "),
        (["--nj", "0", "data/train"], "--nj: expected at least 1 job"),
        (["--nj", "two", "data/train"], "--nj: expected a whole number, found 'two'"),
        (["--nj", "2", "data/none"], "data/none/utt2spk: no such file"),
        (["--fbank-config", "conf/none.yaml", "data/train"], "conf/none.yaml: no such file"),
        (["--fbank-conf", "conf/none.yaml", "data/train"], "did you mean 'fbank-config'"),
    ],
)
def test_wrong_use(recipe, arguments, message):
    done = make_fbank(recipe, *arguments)
    assert done.returncode != 0
    assert message in done.stderr


def test_a_path_with_the_word_job(recipe):
    (recipe / "data").rename(recipe / "JOB4711")
    done = make_fbank(recipe, "--nj", "2", "JOB4711/train", "JOB4711/JOBX/log", "JOB4711/fbank")
    assert done.returncode == 0, done.stderr
    assert DataDir(str(recipe / "JOB4711/train")).feats["s-2"].startswith("JOB4711/fbank/raw_fbank_train.2.ark:")
