"""egs/librispeech from the official layout to the report, on a small corpus of real recordings in it; its checks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from asit.kaldi.data_dir import DataDir

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import librispeech_corpus
from recipe_runs import ROOT, assert_refused, call, copy_recipe, run

RECIPE = ROOT / "egs/librispeech"
SHORT = "steps: 4\nwarmup: 1\nbatch_size: 4\nthreads: 1\nnum_workers: 0\ntensorboard: false\n"
CONFIGS = {
    "fbank.yaml": "sample_rate: 16000\nnum_mel_bins: 16\ncmn_window: 600\n",
    "pretrain.yaml": (
        "embed_dim: 16\ndepth: 1\nheads: 2\npatch: [4, 0]\nglobal_frames: 48\nhead_hidden: 16\n"
        "short_clips: skip\nhead_bottleneck: 8\nprototypes: 12\n" + SHORT
    ),
    "finetune.yaml": "task: ctc\ntime_stride: 2\ncrop_frames: 96\n" + SHORT,
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return librispeech_corpus.make(tmp_path / "some speech")


def prepare(corpus: Path, *options: str) -> subprocess.CompletedProcess[str]:
    words = ["--corpus", str(corpus), "--archives", str(RECIPE / "local/archives.tsv"), "--data", "made", *options]
    return call(corpus, sys.executable, str(RECIPE / "local/prepare.py"), *words)


def test_from_the_layout_to_the_report(corpus: Path, tmp_path: Path) -> None:
    recipe = copy_recipe("librispeech", tmp_path / "recipe", CONFIGS)
    words = ["--corpus", str(corpus), "--check-counts", "false", "--vocab-size", "28", "--nj", "2"]
    run(recipe, "./run.sh", *words)
    sets = {n: DataDir(str(recipe / "data" / n)) for n in ("all", "pool", "train", "valid", "test_clean", "test_other")}
    assert [len(data.utts) for data in sets.values()] == [33, 24, 24, 3, 3, 3]
    assert list(sets["train"].spk2utt) == ["103", "1034"]
    assert next(iter(sets["valid"].text.values())).isupper()
    scored = sorted(recipe.glob("exp/*/test_*/metrics.json"))
    assert len(scored) == 8
    values = {path.parent: json.loads(path.read_text())["metrics"]["wer"] for path in scored}
    table = (recipe / "exp/RESULTS.md").read_text()
    ours = [line for line in table.splitlines() if line.startswith("| **this recipe**, pretrained")]
    assert len(ours) == 2
    for line, test in zip(ours, ("test_clean", "test_other"), strict=True):
        value = next(v for folder, v in values.items() if folder.name == test and "pretrained" in str(folder))
        assert f"| {100 * value:.1f} (1) |" in line
    for word in ("wav2vec 2.0 base", "6.1", "13.3", "pretrained, test=test_other", "### wer"):
        assert word in table, word


def test_the_official_numbers(corpus: Path) -> None:
    assert_refused(
        prepare(corpus), r"train-clean-100: expected 28539 utterances, found 24; unpack .*--check-counts false"
    )
    rows = [line.split("\t") for line in (RECIPE / "local/archives.tsv").read_text().splitlines()]
    assert {name: int(count) for name, count, _ in rows} == {
        "train-clean-100": 28539, "dev-clean": 2703, "test-clean": 2620, "test-other": 2939,
    }  # fmt: skip
    assert all(len(bytes.fromhex(digest)) == 32 for *_, digest in rows)


def test_what_does_not_fit_is_named(corpus: Path) -> None:
    chapter = corpus / "LibriSpeech/dev-clean/84/1240"
    kept = (chapter / "84-1240-0001.flac").read_bytes()
    (chapter / "84-1240-0001.flac").unlink()
    options = ("--check-counts", "false")
    assert_refused(prepare(corpus, *options), r"84-1240.trans.txt: '84-1240-0001': .*found no recording")
    (chapter / "84-1240-0001.flac").write_bytes(kept)
    (chapter / "84-1240-0009.flac").write_bytes(kept)
    assert_refused(prepare(corpus, *options), r"84-1240.trans.txt: '84-1240-0009': .*found no line")
    (chapter / "84-1240.trans.txt").unlink()
    assert_refused(prepare(corpus, *options), r"84-1240.trans.txt")
    assert_refused(prepare(corpus / "LibriSpeech/dev-clean", *options), r"expected train-clean-100, dev-clean, ")
    assert not (corpus / "made").exists()
