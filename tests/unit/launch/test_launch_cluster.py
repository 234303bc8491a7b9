"""Waiting, retrying and telling, with stand-ins for Slurm's commands; tests/cluster does it with a real Slurm."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asit.launch.agent import exit_code
from asit.launch.contract import DRY_RUN
from asit.launch.grid_engine import GridEngine, _tasks
from asit.launch.scheduler import SINGLE
from asit.launch.slurm import Slurm

COMMAND = [sys.executable, "-c", "import sys; from asit.bin.run_slurm import main; sys.exit(main())"]


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder for commands of that name, the only ones beside the system's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("ASIT_POLL_SECONDS", "0.1")
    monkeypatch.delenv("ASIT_SITE", raising=False)

    def command(name, script):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    command("sbatch", 'echo "$@" >>submitted; echo 7')
    command("scancel", "exit 0")
    command("sacct", "exit 1")
    return command


def run(folder, *words, code=None):
    """Run asit-run-slurm; it has to end with ``code``, by default 0, or that of a dry run."""
    code = (DRY_RUN if "--dry-run" in words else 0) if code is None else code
    done = subprocess.run([*COMMAND, *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ("OUT_OF_MEMORY", "ask for more with --mem"),
        ("TIMEOUT", "ask for more with --time"),
        ("NODE_FAIL", "its machine failed"),
        ("CANCELLED", "it was cancelled"),
        ("PREEMPTED", "had to make room"),
        ("REQUEUE_HOLD", "holds it after a failed start"),
    ],
)
def test_states_are_named_at_once(slurm, tmp_path, state, cause):
    slurm("squeue", f'[ "$1" = --noheader ] || exit 1; echo "7_1|COMPLETED|None"; echo "7_2|{state}|None"')
    (tmp_path / "log/q").mkdir(parents=True)
    slurm("sbatch", 'echo 7; sleep 0; for d in log/q/*.results; do echo 0 >"$d/1"; done')
    printed = run(tmp_path, "JOB=1:2", "log/x.JOB.log", "true", code=1)
    assert "1 / 2 failed" in printed
    assert f"JOB=2: -c: error: Slurm job 7 task 2: state {state}" in printed
    assert cause in printed
    assert "again:" in printed
    assert (tmp_path / "log/x.2.log").read_text().splitlines()[-1].endswith("with status 1")


def test_more_memory_after_a_lack_of_it(slurm, tmp_path):
    slurm("squeue", 'echo "7|OUT_OF_MEMORY|None"')
    printed = run(tmp_path, "--mem", "1.5G", "--retries", "2", "x.log", "true", code=1)
    assert "--mem 3G instead of 1.5G" in printed
    assert "--mem 6G instead of 3G" in printed
    submitted = (tmp_path / "submitted").read_text()
    assert [f"--mem-per-cpu {m}G" in submitted for m in ("1.5", "3", "6")] == [True] * 3


def test_without_slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    printed = run(tmp_path, "x.log", "true", code=1)
    assert "sbatch: command not found: Slurm is not installed here or not on PATH" in printed
    assert "asit-run-local" in printed


def test_a_log_that_cannot_be_written(slurm, tmp_path):
    (tmp_path / "file").touch()
    assert "cannot make the folder of the log" in run(tmp_path, "file/x.log", "true", code=1)
    assert "put JOB in its name" in run(tmp_path, "JOB=1:2", "x.log", "true", code=1)


def test_what_the_scheduler_says_when_it_refuses(slurm, tmp_path):
    slurm("sbatch", 'echo "sbatch: error: invalid account" >&2; exit 1')
    printed = run(tmp_path, "x.log", "true", code=1)
    assert "sbatch did not take the job (code 1): sbatch: error: invalid account; submitted with: sbatch" in printed


def test_dry_run_shows_the_submission_and_submits_nothing(slurm, tmp_path):
    (tmp_path / "config/asit").mkdir(parents=True)
    site = (
        "partition: cpu\ngpu_partition: gpu\naccount: us\nconstraint: a100\nmodules: cuda/12\nscratch: /scratch/$USER\n"
    )
    (tmp_path / "config/asit/site.yaml").write_text(site)
    words = [
        "--dry-run",
        "--gpu",
        "4",
        "--num-nodes",
        "2",
        "--time",
        "8:00:00",
        "log/x.log",
        "asit-pretrain",
        "--seed",
        "1",
    ]
    printed = run(tmp_path, *words).splitlines()
    assert printed[0].endswith("config/asit/site.yaml")
    submission = shlex.split(printed[-1])
    for word in ("--gres=gpu:4", "--nodes=2", "--partition=gpu", "--account=us", "--constraint=a100", "--requeue"):
        assert word in submission
    assert "--signal=USR2@120" in submission
    text = (tmp_path / "log/q/x.sh").read_text()
    assert subprocess.run(["bash", "-n", tmp_path / "log/q/x.sh"], check=False).returncode == 0
    for part in ("module load cuda/12", "mktemp -d /scratch/$USER/asit.", "srun", "asit.launch.agent"):
        assert part in text
    assert not (tmp_path / "submitted").exists()
    assert not (tmp_path / "log/x.log").exists()


@pytest.mark.parametrize("back_end", ["slurm", "grid_engine", "pbs"])
def test_dry_run_needs_no_scheduler(tmp_path, monkeypatch, back_end):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    command = [sys.executable, "-c", f"import sys; from asit.bin.run_{back_end} import main; sys.exit(main())"]
    words = ["JOB=1:2", "log/x.JOB.log", "true"]
    shown = subprocess.run([*command, "--dry-run", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert shown.returncode == DRY_RUN, shown.stderr
    assert shown.stdout.splitlines()[-1].endswith("log/q/x.sh")
    ran = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere: run pytest as another user")
def test_a_folder_that_belongs_to_somebody_else(slurm, tmp_path):
    (tmp_path / "log").mkdir(mode=0o500)
    assert "cannot write to the folder of the log" in run(tmp_path, "log/x.log", "true", code=1)


def test_jobs_own_scripts(slurm, tmp_path):
    """The script alone, run by bash: notices reach the command, and each end has its result."""
    slurm("hostname", "echo here")
    run(
        tmp_path,
        "--dry-run",
        "--signal-before",
        "60",
        "x.log",
        "sh",
        "-c",
        "trap 'exit 85' USR2; kill -USR2 $PPID; sleep 5",
    )
    slurm("scontrol", "exit 1")  # a requeue that is refused
    results = Path(tmp_path / "q/x.results")
    results.mkdir()
    done = subprocess.run(["bash", tmp_path / "q/x.sh"], env={**os.environ, "SLURM_JOB_ID": "7"}, check=False)
    assert done.returncode == 85
    assert [(p.name, p.read_text()) for p in results.iterdir()] == [("1", "85\n")]


def test_a_script_that_a_signal_ends_tells_no_success(slurm, tmp_path):
    """bash runs the EXIT trap after SIGHUP too, with the code of whatever it had run last."""
    slurm("hostname", "echo here")
    run(tmp_path, "--dry-run", "x.log", "sh", "-c", "kill -HUP $PPID; sleep 0.3")
    (tmp_path / "q/x.results").mkdir()
    subprocess.run(
        ["bash", tmp_path / "q/x.sh"],
        env={**os.environ, "SLURM_JOB_ID": "7"},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # nohup around the tests would ignore it
        check=False,
    )
    assert list((tmp_path / "q/x.results").iterdir()) == []
    assert (tmp_path / "x.log").read_text().splitlines()[-1].endswith("with status 143")


@pytest.mark.parametrize(("said", "result"), [(2, "0\n"), (1, None)])
def test_a_step_that_slurm_kills_is_no_success(slurm, tmp_path, said, result):
    """srun has been seen to end with 0 when its step was killed: only what every agent says counts."""
    run(tmp_path, "--dry-run", "--num-nodes", "2", "x.log", "true")
    slurm("srun", f'for i in $(seq {said}); do echo "# agent $ASIT_RUN: all is well"; done')
    slurm("hostname", "echo here")
    (tmp_path / "q/x.results").mkdir()
    environment = {**os.environ, "SLURM_JOB_ID": "7", "SLURM_NNODES": "2", "SLURM_RESTART_COUNT": "1"}
    (tmp_path / "x.log").write_text("# agent 7.0: all is well\n")  # of the run before
    subprocess.run(["bash", tmp_path / "q/x.sh"], env=environment, check=False)
    found = tmp_path / "q/x.results/1"
    assert (found.read_text() if found.exists() else None) == result


def test_a_failure_after_slurm_has_ended_the_job_is_left_to_slurm(slurm, tmp_path):
    """A lost node: Slurm queues the job again and ends what still runs; that is no failure of the program."""
    slurm("srun", "kill -TERM $PPID; sleep 0.5; exit 1")
    slurm("hostname", "echo here")
    run(tmp_path, "--dry-run", "--num-nodes", "2", "x.log", "true")
    (tmp_path / "q/x.results").mkdir()
    environment = {**os.environ, "SLURM_JOB_ID": "7", "SLURM_NNODES": "2", "SLURM_RESTART_COUNT": "0"}
    subprocess.run(["bash", tmp_path / "q/x.sh"], env=environment, check=False)
    assert list((tmp_path / "q/x.results").iterdir()) == []
    assert "# ended by Slurm" in (tmp_path / "x.log").read_text()


def test_ids_and_states():
    assert [Slurm().job_id(t) for t in ("12\n", "12;here\n", "Submitted batch job 12\n", "oops")] == ["12"] * 3 + [""]
    assert GridEngine().job_id('Your job-array 4.1-3:1 ("x.sh") has been submitted\n') == "4"
    assert [_tasks(t) for t in ("", "3", "1-3:1", "2,4-8:2")] == [[SINGLE], [3], [1, 2, 3], [2, 4, 6, 8]]
    assert Slurm().array([1, 2, 3, 7], 2) == ["--array=1-3,7%2"]
    assert Slurm().output("a%b/x.out", True) == ["--output=a%%b/x.out.%a"]


def test_code_of_a_node():
    assert [exit_code(codes) for codes in ([85], [-15, 85], [-12], [3, -15], [-15, 1], [-9], [])] == [
        *(85, 85, 85, 3, 1, 137, 1),
    ]
