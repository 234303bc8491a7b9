"""egs/arabic_commands from the official tables to the report, on a small corpus in the official layout; its checks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asit.kaldi.data_dir import DataDir

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from recipe_runs import ROOT, assert_refused, call, copy_recipe, run

SHORT = "steps: 4\nwarmup: 1\nbatch_size: 4\nthreads: 1\nnum_workers: 0\ntensorboard: false\n"
RUN = "{task: Arabic commands, train: %s, valid: valid, test: test, config: finetune.yaml, labels: %s}"
CONFIGS = {
    "fbank.yaml": "sample_rate: 16000\nnum_mel_bins: 16\ncmn_window: 600\n",
    "pretrain.yaml": (
        "embed_dim: 16\ndepth: 1\nheads: 2\npatch: [4, 0]\nglobal_frames: 16\nhead_hidden: 16\n"
        "short_clips: skip\nhead_bottleneck: 8\nprototypes: 12\n" + SHORT
    ),
    "finetune.yaml": SHORT,
    "runs.yaml": "draws: 3\nruns:\n" + "".join(
        f"  - {RUN % (train, labels)}\n" for train, labels in (('"train_1pct_{draw}"', "few"), ("train", "all"))
    ),
}  # fmt: skip
TABLES = {"train.csv": ("00000001", "00000002"), "val.csv": ("00000003",), "test.csv": ("00000004",)}
WORDS = ("zoom in", "yes", "no")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three words, four speakers, three takes; inside one more folder, as GitHub's archives are."""
    folder = tmp_path / "downloaded" / "arabic-speech-commands-dataset-main"
    random = np.random.default_rng(0)
    for table, speakers in TABLES.items():
        lines = ["file,class"]
        for speaker in speakers:
            for word in WORDS:
                for take in range(1, 4):
                    name = f"dataset/{word}/{speaker}_NO_{take:02}.wav"
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    soundfile.write(folder / name, 0.1 * random.standard_normal(16000), 16000)
                    lines.append(f"{name},{word}")
        (folder / table).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def prepare(corpus: Path, *options: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "egs/arabic_commands/local/prepare.py"
    return call(corpus, sys.executable, str(script), "--corpus", str(corpus), "--data", "made", *options)


def test_from_the_tables_to_the_report(corpus: Path, tmp_path: Path) -> None:
    recipe = copy_recipe("arabic_commands", tmp_path / "recipe", CONFIGS)
    run(recipe, "./run.sh", "--corpus", str(corpus.parent), "--check-counts", "false", "--nj", "2")
    sets = {name: DataDir(str(recipe / "data" / name)) for name in ("pool", "train", "train_1pct_0", "valid", "test")}
    assert {name: len(data.utts) for name, data in sets.items()} == {
        "pool": 18, "train": 18, "train_1pct_0": 6, "valid": 9, "test": 9,
    }  # fmt: skip
    assert list(sets["test"].spk2utt) == ["00000004"]
    assert all(list(sets[name].labels) == ["no", "yes", "zoom_in"] for name in ("train", "train_1pct_0", "test"))
    (score,) = recipe.glob("exp/Arabic_commands_all_pretrained_0/test/metrics.json")
    assert json.loads(score.read_text())["clips"] == 9
    table = (recipe / "exp/RESULTS.md").read_text()
    for word in ("98.0", "99.6", "AraSpot", "few", "on 9 test clips"):
        assert word in table, word


@pytest.mark.parametrize(
    ("table", "line", "says"),
    [
        ("val.csv", "dataset/yes/00000003_NO_09.wav,yes", r"val.csv:11: .*00000003_NO_09.wav is not there"),
        ("val.csv", "dataset/yes/00000003_NO_01.wav,no", r"val.csv:11: expected dataset/<word>/<speaker>_NO_"),
        ("test.csv", "dataset/yes/3.wav,yes", r"test.csv:11: expected dataset/<word>/<speaker>_NO_"),
        ("train.csv", "", r"train.csv: expected 7200 clips, found 18"),
    ],
)
def test_wrong_lines_are_named(corpus: Path, table: str, line: str, says: str) -> None:
    with (corpus / table).open("a", encoding="utf-8") as stream:
        stream.write(f"{line}\n")
    more = [] if "expected 7200" in says else ["--check-counts", "false"]
    assert_refused(prepare(corpus, *more), says)
    assert not (corpus / "made").exists()


def test_a_folder_without_the_tables(corpus: Path) -> None:
    (corpus / "val.csv").unlink()
    assert_refused(prepare(corpus), "expected train.csv, val.csv, test.csv and dataset/")
