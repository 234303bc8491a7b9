"""asit-run-local, run as the process that a recipe starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asit.launch import contract
from asit.launch.contract import DRY_RUN
from asit.launch.local import jobs_at_a_time, visible_gpus

COMMAND = [sys.executable, "-c", "import sys; from asit.bin.run_local import main; sys.exit(main())"]


def run(folder, *words, code=0, **environment):
    done = subprocess.run(
        [*COMMAND, *words],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stderr


def test_array_writes_one_log_each(tmp_path):
    assert run(tmp_path, "JOB=1:3", "my logs/x.JOB.log", "sh", "-c", "echo out JOB; echo err JOB >&2") == ""
    lines = (tmp_path / "my logs/x.2.log").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["out 2", "err 2"]
    assert lines[0] == "# sh -c 'echo out 2; echo err 2 >&2'"
    assert lines[-1].startswith("# Ended (code 0)")


def test_any_argument_arrives(tmp_path):
    words = ["a b", "it's", '"', "$HOME", "`id`", "new\nline", "", "*", "\\", "é", "--x=y z", "|x"]
    run(tmp_path, "x.log", sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", *words)
    assert ascii(words) in (tmp_path / "x.log").read_text()


def test_failures_of_an_array(tmp_path):
    err = run(tmp_path, "JOB=1:3", "x.JOB.log", "sh", "-c", "echo part JOB; test JOB != 2", code=1)
    assert "1 / 3 failed, log is in x.*.log" in err
    assert "failed: JOB=2" in err
    assert "part 2" in err
    assert "again: " in err
    assert contract.last_code(str(tmp_path / "x.3.log")) == 0, "the others run to their end"


def test_missing_command(tmp_path):
    err = run(tmp_path, "x.log", "no-such-command", code=1)
    assert "cannot start 'no-such-command'" in err
    assert "# Ended (code 127)" in (tmp_path / "x.log").read_text()


def test_wrong_command_line(tmp_path):
    assert "put JOB in its name" in run(tmp_path, "JOB=1:2", "x.log", "true", code=1)
    (tmp_path / "file").touch()
    assert "cannot make the folder" in run(tmp_path, "file/x.log", "true", code=1)


def test_no_more_jobs_at_a_time_than_asked(tmp_path):
    script = "touch on.JOB; set -- on.*; echo $#; sleep 0.1; rm on.JOB"
    run(tmp_path, "--max-jobs-run", "2", "JOB=1:6", "x.JOB.log", "sh", "-c", script)
    seen = [int((tmp_path / f"x.{i}.log").read_text().splitlines()[4]) for i in range(1, 7)]
    assert max(seen) <= 2


def test_pick_failed_redoes_only_the_failed(tmp_path):
    words = ["JOB=1:3", "x.JOB.log", "sh", "-c", "echo ran >>runs.JOB; test JOB != 2 -o -e mended"]
    run(tmp_path, *words, code=1)
    (tmp_path / "mended").touch()
    run(tmp_path, "--pick", "failed", *words)
    assert [len((tmp_path / f"runs.{i}").read_text().splitlines()) for i in (1, 2, 3)] == [1, 2, 1]


def test_retries_keep_the_earlier_log(tmp_path):
    script = "echo try >>tries; test $(wc -l <tries) = 3"
    run(tmp_path, "--retries", "2", "x.log", "sh", "-c", script)
    assert (tmp_path / "x.log.attempt1").exists()
    assert (tmp_path / "x.log.attempt2").exists()
    (tmp_path / "tries").unlink()
    run(tmp_path, "--retries", "1", "x.log", "sh", "-c", script, code=1)


def test_each_gpu_job_sees_its_own_devices(tmp_path):
    script = "sleep 0.2; echo devices=$CUDA_VISIBLE_DEVICES"
    run(tmp_path, "--gpu", "2", "JOB=1:4", "x.JOB.log", "sh", "-c", script, CUDA_VISIBLE_DEVICES="4,5,6,GPU-7")
    seen = [(tmp_path / f"x.{i}.log").read_text().splitlines()[4] for i in range(1, 5)]
    assert sorted(seen) == sorted(["devices=4,5", "devices=6,GPU-7"] * 2)
    err = run(tmp_path, "--gpu", "3", "x.log", "true", code=1, CUDA_VISIBLE_DEVICES="0,1")
    assert "--gpu 3: only 2 can be used here (0, 1)" in err


def test_without_gpus(tmp_path):
    script = "echo devices=${CUDA_VISIBLE_DEVICES-unset}"
    run(tmp_path, "--gpu", "0", "x.log", "sh", "-c", script, CUDA_VISIBLE_DEVICES="0,1")
    assert "devices=\n" in (tmp_path / "x.log").read_text()
    assert "no GPU found" in run(tmp_path, "--gpu", "1", "x.log", "sh", "-c", script, CUDA_VISIBLE_DEVICES="")
    run(tmp_path, "x.log", "sh", "-c", script, CUDA_VISIBLE_DEVICES="0,1")
    assert "devices=0,1\n" in (tmp_path / "x.log").read_text(), "without --gpu nothing is changed"


def test_visible_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, 3")
    assert visible_gpus() == ["1", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert visible_gpus() == []


def test_dry_run(tmp_path):
    done = subprocess.run(
        [*COMMAND, "--dry-run", "JOB=1:2", "a b.JOB.log", "touch", "it's JOB"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == DRY_RUN != 0, "nothing ran: nobody may take it for done"
    assert done.stdout.splitlines()[1] == """touch 'it'"'"'s 2' >'a b.2.log' 2>&1"""
    assert list(tmp_path.iterdir()) == []


def test_threads(tmp_path):
    run(tmp_path, "--num-threads", "3", "x.log", "sh", "-c", "echo threads=$OMP_NUM_THREADS")
    text = (tmp_path / "x.log").read_text()
    assert "threads=3\n# Accounting: time=0 threads=3" in text or "threads=3\n# Accounting: time=1 threads=3" in text


@pytest.mark.parametrize(
    ("options", "count", "devices", "cores", "most"),
    [
        ("", 8, 0, 4, 4),
        ("", 5, 0, 4, 5),
        ("--num-threads 2", 8, 0, 4, 2),
        ("--num-threads 8", 8, 0, 4, 1),
        ("--max-jobs-run 6", 8, 0, 4, 6),
        ("--gpu 1", 8, 2, 4, 2),
        ("--gpu 2", 8, 5, 4, 2),
        ("--gpu 1 --max-jobs-run 8", 8, 2, 4, 2),
        ("--gpu 1", 8, 0, 4, 1),
        ("", 1, 0, 4, 1),
    ],
)
def test_jobs_at_a_time(options, count, devices, cores, most):
    request = contract.parse([*options.split(), "JOB=1:8", "x.JOB.log", "true"])
    assert jobs_at_a_time(request, count, devices, cores) == most


def wait_for(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("waited for too long")


def alive(pid):
    """Whether a process runs (a zombie waiting for its new parent does not)."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_jobs_with_their_children(tmp_path, number, code):
    script = "sleep 60 & echo $! >child.JOB; echo $$ >shell.JOB; wait"
    words = ["--max-jobs-run", "2", "JOB=1:3", "x.JOB.log", "sh", "-c", script]
    process = subprocess.Popen([*COMMAND, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    files = [tmp_path / f"{kind}.{i}" for kind in ("child", "shell") for i in (1, 2)]
    wait_for(lambda: all(f.exists() and f.read_text().strip() for f in files))
    process.send_signal(number)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert "stopping the jobs" in err
    assert not any(alive(int(f.read_text())) for f in files)
    assert not (tmp_path / "x.3.log").exists(), "no further job is started"
    assert "signal 15" in (tmp_path / "x.1.log").read_text().splitlines()[-1]


def test_a_job_may_save_before_it_ends(tmp_path):
    script = "trap 'sleep 0.3; echo saved; exit 85' TERM; touch ready; while :; do sleep 0.05; done"
    process = subprocess.Popen([*COMMAND, "x.log", "bash", "-c", script], cwd=tmp_path, stderr=subprocess.PIPE)
    wait_for((tmp_path / "ready").exists)
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143
    text = (tmp_path / "x.log").read_text()
    assert "saved" in text
    assert "# Ended (code 85)" in text


def test_notice_of_preemption_is_passed_on(tmp_path):
    script = "trap 'echo noticed; exit 0' USR2; touch ready; while :; do sleep 0.05; done"
    process = subprocess.Popen([*COMMAND, "x.log", "bash", "-c", script], cwd=tmp_path)
    wait_for((tmp_path / "ready").exists)
    process.send_signal(signal.SIGUSR2)
    process.wait(timeout=60)
    assert process.returncode == 0
    assert "noticed" in (tmp_path / "x.log").read_text()


def test_starts_without_torch():
    code = (
        "import sys, asit.bin.run_local, asit.launch.local; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
