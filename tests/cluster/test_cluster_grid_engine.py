"""Task arrays on a real Grid Engine."""

from __future__ import annotations

import signal
import sys

from conftest import finish, start
from daemons import wait_until

from asit.launch.contract import last_code

COMMAND = "asit-run-grid-engine"


def test_all_good(grid_engine, run, tmp_path):
    words = ["a b", "it's", '"', "$HOME", "`id`", "new\nline", "", "*", "\\", "é", "--x=JOB z", "|x"]
    print_words = [sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))"]
    folder = tmp_path / "a recipe's folder"
    folder.mkdir()
    line = [COMMAND, "--max-jobs-run", 2, "--num-threads", 2, "JOB=2:4", "my log/x.JOB.log", *print_words, *words]
    assert run(grid_engine, folder, *line) == ""
    for index in (2, 3, 4):
        lines = (folder / f"my log/x.{index}.log").read_text().splitlines()
        expected = ascii([w.replace("JOB", str(index)) for w in words])
        assert [line for line in lines if not line.startswith("#")] == [expected]
        assert lines[-2].endswith("threads=2")
        assert lines[-1].endswith("with status 0")
    assert [p.name for p in (folder / "my log/q").iterdir()] == ["x.sh"]


def test_only_the_failed_are_run_again(grid_engine, run, tmp_path):
    script = "echo ran >>runs.JOB; echo part JOB; test JOB != 2 -a JOB != 4 -o -e mended"
    words = ["JOB=1:4", "log/x.JOB.log", "sh", "-c", script]
    printed = run(grid_engine, tmp_path, COMMAND, *words, code=1)
    assert "2 / 4 failed, log is in log/x.*.log" in printed
    assert "failed: JOB=2,4" in printed
    (tmp_path / "mended").touch()
    run(grid_engine, tmp_path, COMMAND, "--pick", "failed", *words)
    assert [len((tmp_path / f"runs.{i}").read_text().splitlines()) for i in (1, 2, 3, 4)] == [1, 2, 1, 2]


def test_retries_with_more_memory_and_a_second_start_after_code_85(grid_engine, run, tmp_path):
    script = "echo ran >>runs.JOB; n=$(wc -l <runs.JOB); case JOB.$n in 1.1) kill -9 $$ ;; 2.1) exit 85 ;; esac"
    words = ["--mem", "100M", "--retries", 1, "JOB=1:2", "x.JOB.log", "sh", "-c", script]
    printed = run(grid_engine, tmp_path, COMMAND, *words)
    assert "retry 1: JOB=1" in printed
    assert "--mem 200M instead of 100M" in printed
    assert "mem_free=200M" in (tmp_path / "q/x.sh").read_text()
    assert [len((tmp_path / f"runs.{i}").read_text().splitlines()) for i in (1, 2)] == [2, 2]
    assert last_code(str(tmp_path / "x.1.log.attempt1")) == 137


def test_a_job_over_its_time_limit_is_named(grid_engine, run, tmp_path):
    printed = run(grid_engine, tmp_path, COMMAND, "--time", "0:0:2", "x.log", "sleep", 100, code=1)
    assert "failed" in printed
    assert "exit status 137" in printed
    assert last_code(str(tmp_path / "x.log")) == 1


def test_a_notice_before_the_time_limit_saves_and_queues_again(grid_engine, run, tmp_path):
    script = "echo run; test ! -e saved || exit 0; trap 'touch saved; exit 85' USR1; while :; do sleep 0.1; done"
    words = ["--time", "0:1:0", "--signal-before", 57, "x.log", "sh", "-c", script]
    assert run(grid_engine, tmp_path, COMMAND, *words) == ""
    lines = (tmp_path / "x.log").read_text().splitlines()
    assert lines.count("run") == 2
    assert [line.split()[-1] for line in lines if line.startswith("# Finished")] == ["85", "0"]


def test_stopping_the_command_deletes_the_jobs(grid_engine, tmp_path):
    process = start(grid_engine, tmp_path, COMMAND, "x.log", "sleep", 300)
    wait_until((tmp_path / "x.log").exists, "the job runs")
    process.send_signal(signal.SIGTERM)
    assert "cancelling" in finish(process, 143, timeout=30)
    wait_until(lambda: not grid_engine.ask("qstat", "-u", "*"), "no job is left")


def test_what_grid_engine_refuses(grid_engine, run, tmp_path):
    printed = run(grid_engine, tmp_path, COMMAND, "-l", "no_such_thing=1", "x.log", "true", code=1)
    assert "qsub did not take the job" in printed
    assert "no_such_thing" in printed
    assert "one node" in run(grid_engine, tmp_path, COMMAND, "--num-nodes", 2, "x.log", "true", code=1)
