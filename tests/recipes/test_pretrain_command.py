"""``asit-pretrain`` on a small pool: killed and resumed, refused, finished, on two processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from small_pool import make_pool

from asit.errors import AsitError
from asit.models import model_file
from asit.runs.model import Model
from asit.runs.reconstruct import reconstruct
from asit.train.run_log import read_metrics

STEPS = 16
MODEL = """
embed_dim: 24
depth: 2
heads: 2
patch: [4, 0]
head_hidden: 16
head_bottleneck: 8
prototypes: 12
patch_share: 0.5
global_frames: 32
local_frames: 16
local_crops: 1
short_clips: skip
draw: length
roll: 0.5
batch_size: 4
lr: 1e-3
warmup: 2
threads: 1
ngpu: 0
log_every: 1
save: [0, 5]
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
        "backbone.heads.safetensors",
        "done.json",
    }
    assert "16 updates are planned" in whole
    assert "hours; under 10" not in whole, "these are settings for a small pool"
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


def test_it_reconstructs_after_training(home, whole):
    """The heads are those of the exported network: the file's error is that of the checkpoint's student."""
    model = Model(home / "whole/backbone.safetensors")
    feats = np.random.default_rng(0).normal(size=(70, 16)).astype(np.float32)
    found = reconstruct(model, feats)
    state = torch.load(home / f"whole/checkpoints/step-{STEPS:08d}.pt", weights_only=True)["learner"]
    kept, _ = model_file.load(home / "whole/backbone.heads.safetensors")
    assert all(torch.equal(state[f"student.reconstruction.{name}"], tensor) for name, tensor in kept.items())
    assert found.output.shape == found.clean.shape == (1, 1, 70, 16)
    assert torch.equal(found.clean[0, 0], torch.from_numpy(model.front_end.normalise(feats)))
    assert 0.1 < found.mask.float().mean() < 0.9
    assert torch.equal(found.clean[~found.mask], found.corrupted[~found.mask])
    assert not torch.equal(found.clean[found.mask], found.corrupted[found.mask])
    assert torch.equal(reconstruct(model, feats).corrupted, found.corrupted)
    assert not torch.equal(reconstruct(model, feats, seed=1).mask, found.mask)


def test_a_run_of_before_gets_its_heads(home, whole):
    shutil.copytree(home / "whole", home / "before")
    heads = home / "before/backbone.heads.safetensors"
    expected = heads.read_bytes()
    heads.unlink()
    feats = np.zeros((40, 16), np.float32)
    with pytest.raises(AsitError, match=r"no such file, .* remove its done.json and give its command again"):
        reconstruct(Model(home / "before/backbone.safetensors"), feats)
    (home / "before/done.json").unlink()
    assert "nothing left to train" in finish(start(home, "before"))
    assert heads.read_bytes() == expected


def test_heads_of_another_run_are_refused(home, whole):
    finish(start(home, "seventh", "--seed", 7))
    shutil.copytree(home / "whole", home / "mixed")
    shutil.copy(home / "seventh/backbone.heads.safetensors", home / "mixed")
    with pytest.raises(AsitError, match=r"belongs to another backbone than .*mixed/backbone.safetensors"):
        reconstruct(Model(home / "mixed/backbone.safetensors"), np.zeros((40, 16), np.float32))


def test_a_finished_run_is_left_alone_and_another_refused(home, whole):
    before = (home / "whole/backbone.safetensors").stat().st_mtime_ns
    assert "finished already" in finish(start(home, "whole"))
    assert "lr: 0.001 then, 0.5 now" in finish(start(home, "whole", "--lr", 0.5), code=1)
    assert (home / "whole/backbone.safetensors").stat().st_mtime_ns == before


def test_another_pool_is_another_run(home, whole):
    """A pool that has lost half of its clips, or whose audio was changed without its lengths."""
    finish(start(home, "other"))
    shutil.copytree(home / "data/my pool", home / "data/kept")
    pool = home / "data/my pool"
    try:
        checksums = (pool / "utt2crc").read_text().splitlines()
        (pool / "utt2crc").write_text("\n".join([checksums[0][:-1] + "g", *checksums[1:]]) + "\n")
        assert "begun with other settings or data: the clips" in finish(start(home, "other"), code=1)
        for name in ("feats.scp", "utt2num_frames", "utt2crc"):
            lines = (home / "data/kept" / name).read_text().splitlines()
            (pool / name).write_text("\n".join(lines[: len(lines) // 2]) + "\n")
        assert "begun with other settings or data: the clips" in finish(start(home, "other"), code=1)
        assert "it is kept in other.old-1" in finish(start(home, "other", "--restart-changed", "true"))
        assert (home / "other.old-1/backbone.safetensors").is_file()
        assert (home / "other/done.json").is_file()
    finally:
        shutil.rmtree(pool)
        shutil.move(home / "data/kept", pool)


def test_a_stop_signal_before_the_first_update_is_a_stop_on_request(home):
    """While a large corpus is opened: here a list of features that is never written."""
    shutil.copytree(home / "data/my pool", home / "data/slow")
    (home / "data/slow/feats.scp").unlink()
    os.mkfifo(home / "data/slow/feats.scp")
    process = start(home, "slow", "--data-dir", "data/slow")
    while not (home / "slow/train.log").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGUSR1)
    assert "stopped by SIGUSR1 before the first update" in finish(process, 85)


def test_settings_of_a_small_pool(home):
    """Fewer clips than a batch train with what there is; published settings on a small pool are warned of."""
    errors = finish(start(home, "large batch", "--batch-size", 500, "--prototypes", 2000, "--draw", "uniform"))
    assert re.search(r"WARNING only \d+ clips an epoch: batches of \d+ instead of 500", errors)
    assert "hours; under 10" in errors


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
    errors = finish(start(home, "two", "--ngpu", 0, 2, "--batch-size", 2, "--num-workers", 0))
    assert "2 process(es) on cpu" in errors
    assert [r["step"] for r in rows(home, "two")] == list(range(1, STEPS + 1))
    assert (home / "two/backbone.safetensors").exists()


def test_a_missing_pool_names_the_stage(home):
    process = start(home, "none", "--data-dir", "data/absent")
    assert "data/absent: no such data directory; prepare it first" in finish(process, code=1)


@pytest.mark.parametrize("size", [("--embed-dim", 3 * 10**12), ("--head-hidden", 10**15), ("--prototypes", 10**16)])
def test_a_size_of_which_no_network_can_be_made(home, size):
    errors = finish(start(home, "huge", *size), code=1)
    assert "no network of these sizes can be made" in errors
    assert "Traceback" not in errors


def test_two_processes_tell_an_error_once_and_end(home):
    errors = finish(start(home, "none", "--data-dir", "data/absent", "--ngpu", 0, 2), code=1)
    assert errors.count("no such data directory") == 1, errors


def test_it_goes_on_from_a_backbone(home, whole):
    options = ("--init", "whole/backbone.safetensors", "--lr", 0, "--weight-decay", 0)
    errors = finish(start(home, "further", *options))
    assert "going on from whole/backbone.safetensors: " in errors
    before, after = (model_file.load(home / out / "backbone.safetensors") for out in ("whole", "further"))
    for name, value in before[0].items():
        torch.testing.assert_close(after[0][name], value)
    assert after[1]["provenance"]["init"] == "whole/backbone.safetensors"
    assert "finished" in finish(start(home, "further", *options))
    model_file.save(home / "other.safetensors", {k: v + 0.1 for k, v in before[0].items()}, before[1])
    errors = finish(start(home, "further", "--init", "other.safetensors", *options[2:]), code=1)
    assert "the backbone's file has changed" in errors


def test_a_backbone_of_another_network_or_front_end_is_refused(home, whole):
    options = ("--init", "whole/backbone.safetensors")
    errors = finish(start(home, "deep", *options, "--depth", 3), code=1)
    assert "its network is not that of this run" in errors
    assert "it has --depth 2" in errors
    errors = finish(start(home, "shipped", "--init", "asit-tiny"), code=1)
    assert "front end differs from that of asit-tiny: option 'sample_rate': expected 16000, found 8000" in errors
    assert not (home / "deep/backbone.safetensors").exists()
