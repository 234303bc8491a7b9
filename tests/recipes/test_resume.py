"""Runs that are really killed, stopped, damaged or doubled, and what becomes of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from asit.train.checkpoint import CheckpointDir
from asit.train.run_log import read_metrics

SUPPORT = Path(__file__).parents[1] / "support"
sys.path.insert(0, str(SUPPORT))
os.environ["PYTHONPATH"] = os.pathsep.join([str(SUPPORT), *filter(None, [os.environ.get("PYTHONPATH")])])
import small_run  # noqa: E402 - from the folder named above
from same_run import logged, same  # noqa: E402

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["small_run", "torch._dynamo"])  # which the first optimiser would import
STEPS = 60


class Process(CONTEXT.Process):
    """A run of ``small_run`` in a process of its own, forked from one that has torch loaded already."""

    def __init__(self, out_dir, arguments) -> None:
        super().__init__()
        self.arguments, self.errors = arguments, Path(f"{out_dir}.stderr")

    def run(self):
        os.setpgid(0, 0)
        stream = os.open(self.errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, 2)
        sys.argv = ["small_run", *self.arguments]
        sys.exit(small_run.main())

    def send(self, number):
        os.kill(self.pid, number)

    def finish(self, code=0):
        self.join(120)
        errors = self.errors.read_text()
        assert self.exitcode == code, errors
        return errors


def start(out_dir, *options, steps=STEPS):
    arguments = ["--out-dir", out_dir, "--steps", steps, "--warmup", 5, "--lr", "1e-2"]
    arguments += ["--batch-size", 8, "--tensorboard", "false", "--log-every", 1, "--save", 0, 7, "--threads", 1]
    process = Process(out_dir, [*map(str, arguments), "--ngpu", "0", *map(str, options)])
    process.start()
    return process


def run(out_dir, *options, code=0, steps=STEPS):
    return start(out_dir, *options, steps=steps).finish(code)


def state(out_dir, step=STEPS):
    return CheckpointDir(out_dir / "checkpoints").load(step)


def wait_for_step(out_dir, step, process):
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        assert process.is_alive(), process.errors.read_text()
        rows = read_metrics(out_dir / "metrics.jsonl")
        if rows and rows[-1]["step"] >= step:
            return
        time.sleep(0.01)
    pytest.fail(f"step {step} not reached")


def children(pid):
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until_gone(pids):
    limit = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < limit, f"processes {pids} live on"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out_dir = tmp_path_factory.mktemp("whole run")
    run(out_dir, "--num-workers", 1)
    return out_dir


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_twice_ends_bit_equal(tmp_path, uninterrupted, workers):
    for step in (17, 38):  # in mid-epoch: an epoch has 6 steps, a checkpoint comes every 7
        process = start(tmp_path, "--num-workers", workers, "--sleep", 0.02)
        wait_for_step(tmp_path, step, process)
        loaders = children(process.pid)
        process.kill()
        process.join()
        wait_until_gone(loaders)
    assert "resuming after step 3" in run(tmp_path, "--num-workers", workers)
    assert logged(tmp_path) == logged(uninterrupted)
    assert [row["step"] for row in logged(tmp_path)] == list(range(1, STEPS + 1))
    assert same(state(tmp_path), state(uninterrupted))


def test_sums_of_a_log_interval_survive_a_kill(tmp_path):
    options = ("--log-every", 10, "--num-workers", 0)
    run(tmp_path / "whole", *options)
    process = start(tmp_path / "killed", *options, "--sleep", 0.02)
    wait_for_step(tmp_path / "killed", 20, process)
    process.kill()
    process.join()
    run(tmp_path / "killed", *options)
    assert logged(tmp_path / "killed") == logged(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_stop_signal_saves_and_exits_with_85(tmp_path, uninterrupted, number):
    process = start(tmp_path, "--num-workers", 1, "--sleep", 0.02, "--save", 0, 0)
    wait_for_step(tmp_path, 10, process)
    process.send(number)
    assert f"stopped by {number.name}" in process.finish(85)
    saved = CheckpointDir(tmp_path / "checkpoints").steps()
    assert len(saved) == 1
    assert saved[0] == logged(tmp_path)[-1]["step"]
    run(tmp_path, "--num-workers", 1)
    assert logged(tmp_path) == logged(uninterrupted)


def test_a_signal_to_all_processes_of_a_job_stops_it_as_well(tmp_path):
    process = start(tmp_path, "--num-workers", 2, "--sleep", 0.02)
    wait_for_step(tmp_path, 5, process)
    os.killpg(process.pid, signal.SIGTERM)  # the workers get it too
    assert "stopped by SIGTERM" in process.finish(85)


def test_two_processes_stop_together_and_go_on_as_one(tmp_path, uninterrupted):
    options = ("--noise", 0, "--num-workers", 0, "--precision", "fp32")
    run(tmp_path / "one", *options)
    two = (*options, "--ngpu", 0, 2, "--batch-size", 4)
    process = start(tmp_path / "two", *two, "--sleep", 0.02)
    wait_for_step(tmp_path / "two", 10, process)
    process.terminate()
    process.finish(85)
    step = CheckpointDir(tmp_path / "two/checkpoints").steps()[-1]
    process = start(tmp_path / "two", *two, "--sleep", 0.02)
    wait_for_step(tmp_path / "two", step + 10, process)
    process.kill()  # the launcher alone: its ranks must not live on
    process.join()
    deadline = time.monotonic() + 20
    while (errors := finish_or_locked(tmp_path / "two", options)) is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert errors is not None
    one, other = logged(tmp_path / "one"), logged(tmp_path / "two")
    assert [r["step"] for r in other] == list(range(1, STEPS + 1))
    assert [r["loss"] for r in other] == pytest.approx([r["loss"] for r in one], abs=1e-5)


def finish_or_locked(out_dir, options):
    process = start(out_dir, *options)
    process.join(60)
    errors = process.errors.read_text()
    if process.exitcode == 1 and "in use by process" in errors:
        return None
    assert process.exitcode == 0, errors
    return errors


def test_accumulation_equals_one_large_batch(tmp_path):
    # With a momentum below 1 the centre would move with each micro-batch.
    options = ("--noise", 0, "--num-workers", 0, "--center-momentum", 1, "--precision", "fp32")
    run(tmp_path / "one", *options)
    run(tmp_path / "two", *options, "--batch-size", 2, "--accum", 4)
    one, two = (logged(tmp_path / name) for name in ("one", "two"))
    for name in ("loss", "grad_norm"):
        assert [r[name] for r in two] == pytest.approx([r[name] for r in one], abs=1e-5)


def test_a_truncated_checkpoint_is_passed_over(tmp_path, uninterrupted):
    process = start(tmp_path, "--num-workers", 0, "--sleep", 0.02)
    wait_for_step(tmp_path, 24, process)
    process.kill()
    process.join()
    checkpoints = CheckpointDir(tmp_path / "checkpoints")
    newest = checkpoints.steps()[-1]
    os.truncate(checkpoints.file(newest), 1000)
    orphan = checkpoints.path / "step-00000099.pt.tmp-123"
    orphan.write_bytes(b"half")
    errors = run(tmp_path, "--num-workers", 0)
    assert "passing over a damaged checkpoint" in errors
    assert f"resuming after step {newest - 7}/" in errors
    assert not orphan.exists()
    assert logged(tmp_path) == logged(uninterrupted)


def test_a_second_run_in_the_same_directory_is_refused(tmp_path):
    process = start(tmp_path, "--num-workers", 0, "--sleep", 0.05)
    wait_for_step(tmp_path, 1, process)
    errors = run(tmp_path, code=1)
    assert f"in use by process {process.pid}" in errors
    process.kill()
    process.join()


def test_other_settings_are_refused_and_named(tmp_path):
    run(tmp_path, "--num-workers", 0, steps=8)
    errors = run(tmp_path, "--lr", "2e-2", code=1, steps=8)
    assert "lr: 0.01 then, 0.02 now" in errors
    errors = run(tmp_path, "--batch-size", 4, code=1, steps=8)
    assert "global_batch: 8 then, 4 now" in errors
    assert "nothing left to train" in run(tmp_path, "--batch-size", 4, "--accum", 2, "--log-every", 3, steps=8)


def test_a_run_of_bad_steps_only_has_learned_nothing_and_fails(tmp_path):
    errors = run(tmp_path, "--bad", *range(50), "--bad-steps", 10_000, "--num-workers", 0, code=1)
    assert f"{STEPS} updates had a non-finite loss or gradient" in errors


def test_bad_steps_are_named_skipped_and_then_stop_the_run(tmp_path):
    errors = run(tmp_path, "--bad", 7, "--bad-steps", 100, "--num-workers", 0)
    assert "skipped: non-finite loss or gradient (loss nan" in errors
    assert "utt007" in errors
    final = state(tmp_path)
    assert all(torch.isfinite(t).all() for t in final["learner"].values())
    assert final["bad_steps"] == errors.count("skipped: non-finite")
    moments = final["optimizer"]["state"]
    assert float(moments[1]["step"]) == STEPS - final["bad_steps"]
    errors = run(tmp_path / "b", "--bad", 7, "--bad-steps", 2, "--save", 0, 1, "--num-workers", 0, code=1)
    assert "for the 3th time" not in errors
    assert "(2 are skipped)" in errors
    kept = CheckpointDir(tmp_path / "b/checkpoints").load_newest()
    assert kept is not None
    assert all(torch.isfinite(t).all() for t in kept[1]["learner"].values())


def test_one_failing_rank_ends_the_others(tmp_path):
    run(tmp_path, "--bad", *range(50), "--bad-steps", 0, "--ngpu", 0, 2, "--batch-size", 4, code=1)
