"""egs/esc50 from the download to the table, on a small corpus in the official layout; and its checks of the corpus."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asit.config import read_yaml
from asit.kaldi.data_dir import DataDir
from asit.models.model_file import load_metadata
from asit.recipes.plan import Settings, options_of_runs

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import esc50_corpus
from recipe_runs import ROOT, assert_refused, call, copy_recipe, run, served

RECIPE = ROOT / "egs/esc50"
CONFIGS = {
    "fbank.yaml": "sample_rate: 16000\nnum_mel_bins: 16\n",
    "pretrain.yaml": (
        "embed_dim: 16\ndepth: 1\nheads: 2\npatch: [16, 0]\nglobal_frames: 64\nhead_hidden: 16\n"
        "head_bottleneck: 8\nprototypes: 12\nsteps: 4\nwarmup: 1\nbatch_size: 4\nthreads: 1\nnum_workers: 0\n"
        "tensorboard: false\n"
    ),
    "finetune_tiny.yaml": (
        "train_stats: true\ncrop_frames: 512\nsteps: 4\nwarmup: 1\nbatch_size: 4\nthreads: 1\nnum_workers: 0\n"
    ),
    "runs_tiny.yaml": (
        'folds: [1, 5]\nruns:\n  - {task: ESC-50, train: "train_fold{fold}", test: "test_fold{fold}", '
        "config: finetune_tiny.yaml, systems: [pretrained, baseline]}\n"
    ),
}
STAGES = ("download", "data", "features", "stats", "pretrain", "finetune", "score", "report")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return esc50_corpus.make(tmp_path_factory.mktemp("esc50 corpus"))


@pytest.fixture(scope="module")
def address(corpus: Path) -> Iterator[str]:
    """The archive, served from this machine."""
    esc50_corpus.archive(corpus, corpus.parent / "master.zip")
    with served(corpus.parent) as host:
        yield f"{host}/master.zip"


def published_digest(corpus: Path) -> str:
    """Written anew: sha256 over the output of md5sum."""
    names = sorted(path.name for path in (corpus / "audio").iterdir())
    lines = [f"{hashlib.md5((corpus / 'audio' / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, corpus: Path, address: str) -> Path:
    """A copy of the recipe that has run to its end from the served archive."""
    recipe = copy_recipe("esc50", tmp_path_factory.mktemp("esc50"), CONFIGS)
    run(recipe, *run_command(corpus, address))
    return recipe


def run_command(corpus: Path, address: str) -> list[str]:
    options = ["--digest", published_digest(corpus), "--check-counts", "false", "--runs", "conf/runs_tiny.yaml"]
    return ["./run.sh", "--sources", f"/nowhere/else.zip {address}", "--nj", "2", *options]


def test_every_stage_leaves_what_it_should(recipe: Path) -> None:
    assert (recipe / "downloads/ESC-50/ESC-50-master/meta/esc50.csv").is_file()
    for fold in (1, 5):
        train, test = (DataDir(str(recipe / f"data/{part}_fold{fold}")) for part in ("train", "test"))
        assert len(train.utts) == 16
        assert len(test.utts) == 4
        assert not set(train.utts) & set(test.utts)
        assert {utt[0] for utt in test.utts} == {str(fold)}
        assert list(train.labels) == list(test.labels) == ["dog", "hand_saw"]
        assert (recipe / f"data/train_fold{fold}/stats.yaml").is_file()
        assert not (recipe / f"data/test_fold{fold}/stats.yaml").exists()
        assert 490 <= min(test.utt2num_frames.values()) <= 500, "5 s at 16 kHz"
        config = read_yaml(recipe / f"exp/pretrain_0_fold{fold}/config.yaml")
        assert config["data_dir"][0] == f"data/train_fold{fold}", "the test fold is never seen"
        model = load_metadata(recipe / f"exp/ESC-50_all_pretrained_0_fold{fold}/model.safetensors")
        assert model["stats"]["mean"] == read_yaml(recipe / f"data/train_fold{fold}/stats.yaml")["mean"][0]
    records = [json.loads(path.read_text()) for path in recipe.glob("exp/*pretrained*/*/metrics.json")]
    assert sorted(record["tags"]["fold"] for record in records) == ["1", "5"]
    table = (recipe / "exp/RESULTS.md").read_text()
    assert "ESC-50" in table
    assert "95.3" in table, "the published numbers stand beside ours"


def test_nothing_is_selected_on_a_fold(recipe: Path) -> None:
    for path in recipe.glob("exp/*pretrained*/config.yaml"):
        assert read_yaml(path)["valid_dir"][0] == ""
        assert "no validation set" in path.with_name("train.log").read_text()


def test_a_second_run_does_nothing(recipe: Path, corpus: Path, address: str) -> None:
    output = call(recipe, *run_command(corpus, address), "--status").stdout
    assert [line.split()[1] for line in output.splitlines()] == list(STAGES)
    assert all(line.endswith(" finished") for line in output.splitlines()), output


def test_a_failing_fold_stops_the_recipe(recipe: Path, corpus: Path, address: str, tmp_path: Path) -> None:
    broken = tmp_path / "esc50"
    shutil.copytree(recipe, broken)
    for folder in (broken / "exp").glob("ESC-50*"):
        shutil.rmtree(folder)
    (broken / "exp/RESULTS.md").unlink()
    (broken / "data/train_fold5/feats.scp").unlink()
    done = call(broken, *run_command(corpus, address), "--stage", "finetune", "--force", "true")
    assert done.returncode != 0
    assert "1 / 2 failed" in done.stdout + done.stderr
    assert "data/train_fold5" in done.stdout + done.stderr
    assert not (broken / "exp/RESULTS.md").exists()
    assert not list((broken / "exp").glob("ESC-50*/*/metrics.json"))


@pytest.mark.parametrize("name", ["runs.yaml", "runs_ssast.yaml", "runs_eat.yaml"])
def test_published_plans_have_five_folds_and_no_validation(name: str) -> None:
    settings = Settings(runs=str(RECIPE / "conf" / name), pretrain_config=str(RECIPE / "conf/pretrain.yaml"))
    settings = Settings(**{**vars(settings), "pool": "train_fold{fold}"})
    runs = options_of_runs(settings)
    folds = [f"data/train_fold{fold}" for fold in range(1, 6)]
    assert [pretrain["data_dir"] for pretrain in runs["pretrain"]] == folds
    for tuned, score in zip(runs["finetune"], runs["score"], strict=True):
        assert "valid_dir" not in tuned
        assert Path(tuned["init"]).parent.name == f"pretrain_0_fold{tuned['train_dir'][-1]}"
        assert score["data_dir"] == tuned["train_dir"].replace("train", "test")
    assert sorted({tuned["train_dir"] for tuned in runs["finetune"]}) == folds


# --- what is wrong with a copy of the corpus -------------------------------------------------------------------------


def edit_table(master: Path, old: str, new: str, count: int = -1) -> None:
    path = master / "meta/esc50.csv"
    path.write_text(path.read_text().replace(old, new, count))


def silence(master: Path, seconds: float, rate: int = 44100, channels: int = 1) -> None:
    wave = np.zeros((round(seconds * rate), channels), np.float32)
    soundfile.write(master / "audio/1-100-A-0.wav", wave, rate)


DAMAGE = {
    "no table": (lambda m: (m / "meta/esc50.csv").unlink(), "expected audio/ and meta/esc50.csv"),
    "no audio": (lambda m: shutil.rmtree(m / "audio"), r"expected audio/ and meta/esc50.csv.*found \['meta'\]"),
    "other columns": (lambda m: edit_table(m, "category", "class"), r"esc50.csv:1: expected the columns.*'class'"),
    "unknown class": (lambda m: edit_table(m, ",dog,", ",dogg,"), "esc50.csv:2: .*unknown class 'dogg': did you mean"),
    "wrong class": (lambda m: edit_table(m, ",dog,", ",cat,"), "esc50.csv:2: .*expected target 5 for cat, found 0"),
    "wrong fold": (lambda m: edit_table(m, "1-100-A-0.wav,1,", "1-100-A-0.wav,2,"), "expected fold 1, .*found 2"),
    "wrong name": (lambda m: edit_table(m, "1-100-A-0", "dog-1"), "esc50.csv:2: expected a clip such as.*dog-1.wav"),
    "a clip is missing": (lambda m: (m / "audio/1-100-A-0.wav").unlink(), "found 1 that are in the table.*1-100-A-0"),
    "a clip too many": (
        lambda m: shutil.copy(m / "audio/1-100-A-0.wav", m / "audio/1-9-A-0.wav"),
        "found 1 that the table lacks, such as 1-9-A-0.wav",
    ),
    "a line twice": (
        lambda m: edit_table(m, "1-100-A-0.wav,1,0,dog", "1-100-B-0.wav,1,0,dog", 1),
        "expected each clip once, found 1-100-B-0.wav again",
    ),
    "zero length": (lambda m: silence(m, 0), "1-100-A-0.*no samples"),
    "empty file": (lambda m: (m / "audio/1-100-A-0.wav").write_bytes(b""), "1-100-A-0.*empty"),
    "other length": (lambda m: silence(m, 4), r"1-100-A-0.wav: expected one channel of 5 s, found 1 of 4.000 s"),
    "stereo": (lambda m: silence(m, 5, channels=2), "expected one channel of 5 s, found 2 of 5.000 s"),
    "other rate": (lambda m: silence(m, 5, 16000), "expected 44100 Hz, found 16000 Hz; .*--sample-rate 16000"),
    "only four folds": (
        lambda m: (
            [path.unlink() for path in (m / "audio").glob("5-*")],
            (m / "meta/esc50.csv").write_text(
                "".join(
                    line
                    for line in (m / "meta/esc50.csv").read_text().splitlines(keepends=True)
                    if not line.startswith("5-")
                )
            ),
        ),
        "expected the folds 1, 2, 3, 4, 5, found 1, 2, 3, 4$",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_wrong_copy_is_refused(corpus: Path, tmp_path: Path, kind: str) -> None:
    damage, expected = DAMAGE[kind]
    master = tmp_path / "ESC-50-master"
    shutil.copytree(corpus, master)
    damage(master)
    done = prepare(tmp_path, "--corpus", str(master), "--check-counts", "false")
    assert_refused(done, expected)
    assert not (tmp_path / "data").exists()


def prepare(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return call(folder, sys.executable, str(RECIPE / "local/prepare.py"), *options)


def test_an_incomplete_corpus_is_refused(corpus: Path, tmp_path: Path) -> None:
    done = prepare(tmp_path, "--corpus", str(corpus))
    assert_refused(
        done, "expected 8 clips of dog in fold 1, found 2, and 2000 in all, found 20; .*--check-counts false"
    )


def test_the_holding_folder_is_accepted_too(corpus: Path, tmp_path: Path) -> None:
    done = prepare(tmp_path, "--corpus", str(corpus.parent), "--check-counts", "false")
    assert done.returncode == 0, done.stderr
    assert "0 of 10 original recordings are in more than one official fold" in done.stdout
    assert len(DataDir(str(tmp_path / "data/all")).spk2utt) == 10


def test_other_bytes_than_the_published_ones_are_noticed(corpus: Path, tmp_path: Path) -> None:
    check = [sys.executable, str(RECIPE / "local/check_content.py"), "--corpus", str(corpus)]
    assert call(tmp_path, *check, "--digest", published_digest(corpus)).returncode == 0
    assert_refused(call(tmp_path, *check), f"expected the published clips.*found others .{published_digest(corpus)}.")
