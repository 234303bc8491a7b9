"""ASiT on two processes computes what one computes on the same global batch, and one continues what two began.

What would be drawn for each process apart is off: nothing is corrupted (every bin is reconstructed instead), all
patches are projected, no block is dropped. The rest is the real command: data, loop, learner, checkpoints.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from small_pool import make_pool

from asit.models import model_file
from asit.train.run_log import read_metrics

STEPS = 6
CONFIG = f"""
embed_dim: 24
depth: 2
heads: 2
patch: [4, 0]
drop_path: 0.0
head_hidden: 16
head_bottleneck: 8
prototypes: [12, 10]
train_gain: true
drop_ratio: 0
replace: [0, 0]
reconstruct_all: true
freeze_last_layer: 0
teacher_momentum: 0.9
global_frames: 32
local_frames: 16
local_crops: 1
short_clips: skip
steps: {STEPS}
lr: 1e-3
warmup: 1
threads: 1
ngpu: 0
precision: fp32
num_workers: 0
log_every: 1
save: [0, 4]
tensorboard: false
"""
LOSSES = ("loss", "global", "local", "reconstruction")
ONE, TWO = ("--batch-size", "8"), ("--batch-size", "4", "--ngpu", "0", "2")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("a recipe")
    make_pool(home / "data/my pool")
    (home / "conf.yaml").write_text(CONFIG)
    return home


def train(home, out, *options, launcher=(sys.executable, "-m", "asit.bin.pretrain")):
    words = [*launcher, "--config", "conf.yaml", "--data-dir", "data/my pool", "--out-dir", out, *options]
    ended = subprocess.run(words, cwd=home, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def losses(home, out) -> torch.Tensor:
    """(steps, losses) of a run."""
    rows = [r for r in read_metrics(home / out / "metrics.jsonl") if r["kind"] == "train"]
    assert [r["step"] for r in rows] == list(range(1, STEPS + 1))
    return torch.tensor([[r[name] for name in LOSSES] for r in rows], dtype=torch.float64)


def learner(home, out) -> dict[str, torch.Tensor]:
    """The learner's tensors in the last checkpoint."""
    path = max((home / out / "checkpoints").glob("*.pt"))
    return torch.load(path, weights_only=True)["learner"]


@pytest.fixture(scope="module")
def one(home):
    train(home, "one", *ONE)
    return losses(home, "one")


@pytest.fixture(scope="module")
def two(home):
    assert "2 process(es) on cpu" in train(home, "two", *TWO)
    return losses(home, "two")


def test_the_losses_move(one) -> None:
    """Else equality would say little."""
    assert (one - one[0]).abs().amax(dim=0).min() > 5e-3


def test_two_processes_equal_one(home, one, two) -> None:
    torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-5)


def test_centres_and_teachers_are_equal(home, one, two) -> None:
    """A key's bias does not change attention: its gradient is rounding alone, which AdamW makes a full step."""
    mine, theirs = learner(home, "one"), learner(home, "two")
    centres = [name for name in mine if name.endswith("center")]
    assert len(centres) == 2
    for name, value in mine.items():
        if name in centres:
            assert value.abs().max() > 1e-3
            torch.testing.assert_close(theirs[name], value, rtol=1e-5, atol=1e-5)
        elif not name.endswith("qkv.bias"):
            torch.testing.assert_close(theirs[name], value, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


def test_one_process_continues_what_two_began(home, one, two) -> None:
    out = "continued"
    shutil.copytree(home / "two", home / out)
    for path in [home / out / "done.json", home / out / "backbone.safetensors"]:
        path.unlink()
    for path in (home / out / "checkpoints").iterdir():
        if int(path.stem.rpartition("-")[2]) > 4:
            path.unlink()
    assert "resuming after step 4" in train(home, out, *ONE)
    torch.testing.assert_close(losses(home, out), one, rtol=1e-5, atol=1e-5)


def test_under_torchrun(home, two) -> None:
    """What starts the ranks does not matter: the same bytes come out."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    train(home, "torchrun", *TWO[:2], launcher=[*torchrun, "-m", "asit.bin.pretrain"])
    assert torch.equal(losses(home, "torchrun"), two)
    mine, theirs = (model_file.load(home / out / "backbone.safetensors")[0] for out in ("two", "torchrun"))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert not [p for p in (home / "torchrun").rglob("*") if ".tmp-" in p.name]
    assert "RANK" not in os.environ
