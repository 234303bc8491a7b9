"""Job arrays on a real Slurm."""

from __future__ import annotations

import signal
import sys

from conftest import finish, start
from daemons import wait_until

from asit.launch.contract import last_code


def output(log):
    return [line for line in log.read_text().splitlines() if not line.startswith("#")]


def test_all_good(slurm, run, tmp_path):
    words = ["a b", "it's", '"', "$HOME", "`id`", "new\nline", "", "*", "\\", "é", "--x=JOB z", "|x", "%a"]
    print_words = [sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))"]
    folder = tmp_path / "a recipe's folder"
    folder.mkdir()
    printed = run(
        slurm, folder, "asit-run-slurm", "--max-jobs-run", 2, "JOB=2:4", "my log/x.JOB.log", *print_words, *words
    )
    assert printed == ""
    for index in (2, 3, 4):
        log = folder / f"my log/x.{index}.log"
        assert output(log) == [ascii([w.replace("JOB", str(index)) for w in words])]
        text = log.read_text()
        assert "# Started at" in text
        assert "# Running on" in text
        assert "# Accounting: time=" in text
        assert text.splitlines()[-1].endswith("with status 0")
    left = sorted(p.name for p in (folder / "my log/q").iterdir())
    assert left == ["x.sh"], "results and empty outputs are removed"


def test_one_fails_and_only_it_is_run_again(slurm, run, tmp_path):
    script = "echo ran >>runs.JOB; echo part JOB; test JOB != 2 -o -e mended"
    words = ["JOB=1:4", "log/x.JOB.log", "sh", "-c", script]
    printed = run(slurm, tmp_path, "asit-run-slurm", *words, code=1)
    assert "1 / 4 failed, log is in log/x.*.log" in printed
    assert "failed: JOB=2" in printed
    assert "part 2" in printed
    again = "again: asit-run-slurm JOB=2 log/x.JOB.log sh -c"
    assert again in printed
    (tmp_path / "mended").touch()
    run(slurm, tmp_path, "asit-run-slurm", "--pick", "failed", *words)
    assert [len((tmp_path / f"runs.{i}").read_text().splitlines()) for i in (1, 2, 3, 4)] == [1, 2, 1, 1]


def test_retries_of_failed_indices_with_more_memory_after_a_kill(slurm, run, tmp_path):
    script = "echo $SLURM_MEM_PER_CPU >>mem.JOB; if [ JOB != 2 ] && [ $(wc -l <mem.JOB) = 1 ]; then kill -9 $$; fi"
    words = ["--mem", "100M", "--retries", 1, "JOB=1:3", "x.JOB.log", "sh", "-c", script]
    printed = run(slurm, tmp_path, "asit-run-slurm", *words)
    assert "retry 1: JOB=1,3" in printed
    assert "--mem 200M instead of 100M" in printed
    assert [(tmp_path / f"mem.{i}").read_text().split() for i in (1, 2, 3)] == [["100", "200"], ["100"], ["100", "200"]]
    assert last_code(str(tmp_path / "x.3.log.attempt1")) == 137


def test_a_cancelled_task_is_named_at_once(slurm, tmp_path):
    process = start(slurm, tmp_path, "asit-run-slurm", "JOB=1:2", "x.JOB.log", "sh", "-c", "test JOB = 1 || sleep 300")
    wait_until((tmp_path / "x.2.log").exists, "the task runs")
    job = next(name for name, state in slurm.job_states().items() if name.endswith("_2") and state == "RUNNING")
    slurm.ask("scancel", job)
    printed = finish(process, 1, timeout=30)
    assert "state CANCELLED" in printed
    assert last_code(str(tmp_path / "x.2.log")) != 0


def test_stopping_the_command_cancels_the_jobs(slurm, tmp_path):
    process = start(slurm, tmp_path, "asit-run-slurm", "x.log", "sleep", 300)
    wait_until((tmp_path / "x.log").exists, "the job runs")
    process.send_signal(signal.SIGTERM)
    assert "cancelling" in finish(process, 143, timeout=30)
    wait_until(lambda: "RUNNING" not in slurm.job_states().values(), "no job is left")


def test_what_slurm_refuses(slurm, run, tmp_path):
    printed = run(slurm, tmp_path, "asit-run-slurm", "-p", "nowhere", "x.log", "true", code=1)
    assert "sbatch did not take the job" in printed
    assert "invalid partition" in printed
    printed = run(slurm, tmp_path, "asit-run-slurm", "--memm", "1G", "x.log", "true", code=1)
    assert "--memm: not described" in printed
    assert "did you mean 'mem'?" in printed
