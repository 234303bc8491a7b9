"""Pretraining on the two nodes of a real Slurm: notices, lost nodes, orphans, and always the same losses."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from conftest import finish, start
from daemons import kill, wait_until, with_variable

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from same_run import logged
from small_pool import make_pool

# Nothing random that differs between one process and two: no corruption, no stochastic depth.
SETTINGS = """
embed_dim: 16
depth: 1
heads: 2
patch: [4, 0]
head_hidden: 16
head_bottleneck: 8
prototypes: 12
patch_share: 1.0
drop_path: 0.0
drop_ratio: 0.0
replace: [0, 0.5]
reconstruct_all: true
global_frames: 32
local_frames: 16
local_crops: 1
short_clips: skip
draw: length
lr: 1e-3
threads: 1
num_workers: 0
ngpu: 0
precision: fp32
log_every: 1
warmup: 2
tensorboard: false
"""
STEPS = 120


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("a recipe")
    make_pool(home / "data/my pool")
    (home / "conf.yaml").write_text(SETTINGS)
    return home


def command(out, steps, batch):
    words = ["asit-pretrain", "--config", "conf.yaml", "--data-dir", "data/my pool", "--out-dir", out]
    return [*words, "--steps", steps, "--batch-size", batch, "--save", 0, 20]


def losses(home, out):
    return logged(home / out)


def reach(home, out, step, process):
    wait_until(lambda: process.poll() is not None or len(losses(home, out)) >= step, f"step {step}", 300)
    assert process.poll() is None, process.communicate()[0]


@pytest.fixture(scope="module")
def whole(home, slurm):
    """An uninterrupted run of two processes on this machine, without a scheduler."""
    finish(start(slurm, home, *command("whole", STEPS, 2), "--ngpu", 0, 2))
    return losses(home, "whole")


@pytest.fixture(scope="module")
def alone(home, slurm):
    """The same as one process."""
    finish(start(slurm, home, "asit-run-local", "log/one.log", *command("one", STEPS, 4)))
    return losses(home, "one")


def test_two_nodes_are_as_two_processes_and_as_one(slurm, run, home, whole, alone):
    run(slurm, home, "asit-run-slurm", "--num-nodes", 2, "log/two.log", *command("two", STEPS, 2))
    assert "2 process(es) on cpu" in (home / "log/two.log").read_text()
    assert losses(home, "two") == whole
    assert [r["loss"] for r in alone] == pytest.approx([r["loss"] for r in whole], abs=1e-4)


def on_node(name):
    """Processes of jobs on a node."""
    return with_variable("SLURMD_NODENAME", name)


def training(pid):
    return "LOCAL_RANK=" in Path(f"/proc/{pid}/environ").read_text(errors="replace")


def test_a_notice_before_the_time_limit_saves_and_queues_again(slurm, home, whole):
    words = ["--num-nodes", 2, "--time", 2, "--signal-before", 60, "log/notice.log"]
    process = start(slurm, home, "asit-run-slurm", *words, *command("notice", STEPS, 2))
    reach(home, "notice", 10, process)
    ranks = [pid for pid in on_node("n1") + on_node("n2") if training(pid)]
    assert len(ranks) == 2
    kill(ranks, signal.SIGSTOP)  # a long step: it ends when Slurm gives notice, which begins with SIGCONT
    wait_until(lambda: "stopped by SIGUSR2" in (home / "log/notice.log").read_text(), "Slurm's notice", 150)
    wait_until(lambda: "with status 85" in (home / "log/notice.log").read_text(), "the end of the first run")
    job = (home / "log/notice.log").read_text().split("# Job ")[1].split()[0]
    slurm.ask("scontrol", "update", f"JobId={job}", "TimeLimit=30")  # the next run may take its time
    assert finish(process) == ""
    log = (home / "log/notice.log").read_text()
    assert "with status 85" in log
    assert "resuming after step" in log
    assert losses(home, "notice") == whole


def test_a_lost_node_is_noticed_and_the_training_goes_on(slurm, home, whole):
    process = start(slurm, home, "asit-run-slurm", "--num-nodes", 2, "log/lost.log", *command("lost", STEPS, 2))
    reach(home, "lost", 30, process)
    lost = on_node("n2")
    slurm.kill_node("n2")
    kill(lost)
    wait_until(lambda: "PENDING" in slurm.job_states().values(), "the job is queued again")
    slurm.start_node("n2")
    assert finish(process) == ""
    log = (home / "log/lost.log").read_text()
    assert log.count("# Started at") >= 2
    assert "resuming after step" in log
    assert losses(home, "lost") == whole


def test_an_orphan_of_a_lost_node_keeps_the_requeued_run_waiting(slurm, home, alone):
    """A process dies with its agent, but the agent of a lost node may live on."""
    slurm.wait_idle()
    process = start(slurm, home, "asit-run-slurm", "--num-nodes", 1, "log/orphan.log", *command("orphan", STEPS, 4))
    reach(home, "orphan", 30, process)
    node, other = ("n1", "n2") if on_node("n1") else ("n2", "n1")
    orphans = [pid for pid in on_node(node) if training(pid)]
    assert orphans
    kill(orphans, signal.SIGSTOP)  # so that it does not come to its end meanwhile
    slurm.kill_node(node)
    log = home / "log/orphan.log"
    wait_until(lambda: on_node(other), "the job runs on the other node")
    wait_until(lambda: "; waiting" in log.read_text(), "it waits for the lock")
    kill(orphans)
    slurm.start_node(node)
    assert finish(process) == ""
    assert "resuming after step" in log.read_text()
    assert losses(home, "orphan") == alone
