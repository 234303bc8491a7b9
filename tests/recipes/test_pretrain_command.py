"""``asit-pretrain`` on a small pool: killed and resumed, refused, finished, on two processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from small_pool import make_pool

from asit.io import model_file
from asit.train.run_log import read_metrics

STEPS = 16
MODEL = """
embed_dim: 24
depth: 2
heads: 2
patch_frames: 4
patch_mels: 0
head_hidden: 16
head_bottleneck: 8
cls_prototypes: 12
patch_share: 0.5
global_frames: 32
local_frames: 16
local_crops: 1
short_clips: skip
draw: length
roll: 0.5
batch_size: 4
lr: 1e-3
lr_batch: 0
warmup_steps: 2
threads: 1
ngpu: 0
log_every: 1
save_every: 5
tensorboard: false
export: student
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("a recipe")
    make_pool(home / "data/my pool")
    (home / "conf.yaml").write_text(MODEL)
    return home


def start(home, out, *options):
    command = [sys.executable, "-m", "asit.bin.pretrain", "--config", "conf.yaml", "--data-dir", "data/my pool"]
    command += ["--out-dir", out, "--steps", str(STEPS), *map(str, options)]
    return subprocess.Popen(command, cwd=home, stderr=subprocess.PIPE, text=True)


def finish(process, code=0):
    errors = process.communicate(timeout=180)[1]
    assert process.returncode == code, errors
    return errors


def rows(home, out):
    timed = ("clips_per_second", "wait_share", "seconds_left")
    return [{k: v for k, v in r.items() if k not in timed} for r in read_metrics(home / out / "metrics.jsonl")]


@pytest.fixture(scope="module")
def whole(home):
    return finish(start(home, "whole"))


def test_what_a_run_leaves(home, whole):
    names = {p.name for p in (home / "whole").iterdir()}
    assert names >= {
        "config.yaml",
        "train.log",
        "metrics.jsonl",
        "checkpoints",
        "images",
        "backbone.safetensors",
        "done.json",
    }
    assert "16 updates are planned" in whole
    assert "hours; under 10" in whole
    tensors, facts = model_file.load(home / "whole/backbone.safetensors")
    assert (facts["kind"], facts["frames"], facts["mels"], facts["provenance"]["network"]) == (
        "backbone",
        32,
        16,
        "student",
    )
    assert facts["front_end"]["sample_rate"] == 8000
    assert all(torch.isfinite(t).all() for t in tensors.values())
    assert "whole" in (home / "whole/train.log").read_text()


def test_a_finished_run_is_left_alone_and_another_refused(home, whole):
    before = (home / "whole/backbone.safetensors").stat().st_mtime_ns
    assert "finished already" in finish(start(home, "whole"))
    assert "lr: 0.001 then, 0.5 now" in finish(start(home, "whole", "--lr", 0.5), code=1)
    assert (home / "whole/backbone.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 85)])
def test_asit_goes_on_bit_equal_after_a_kill(home, whole, number, code):
    out = f"killed {number.name}"
    process = start(home, out)
    while len(rows(home, out)) < 7:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    os.kill(process.pid, number)
    finish(process, code)
    assert "resuming after step" in finish(start(home, out, "--num-workers", 0))
    assert rows(home, out) == rows(home, "whole")
    paths = [home / name / "backbone.safetensors" for name in (out, "whole")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_two_processes_train(home):
    errors = finish(start(home, "two", "--num-procs", 2, "--batch-size", 2, "--num-workers", 0))
    assert "2 process(es) on cpu" in errors
    assert [r["step"] for r in rows(home, "two")] == list(range(1, STEPS + 1))
    assert (home / "two/backbone.safetensors").exists()


def test_a_missing_pool_names_the_stage(home):
    process = start(home, "none", "--data-dir", "data/absent")
    assert "data/absent: no such data directory; prepare it first" in finish(process, code=1)
