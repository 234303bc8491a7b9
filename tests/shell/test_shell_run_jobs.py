"""tools/run_jobs.sh: a job for each line of a list, from a directory with a space in its name."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SCRIPT, RUN_LINE = TOOLS / "run_jobs.sh", TOOLS / "run_line.sh"


LINE = "./show --config conf/one.yaml --tags 'labels=10%' \"it's\" '$HOME *'"


@pytest.fixture
def recipe(tmp_path):
    home = tmp_path / "my recipe"
    (home / "plan").mkdir(parents=True)
    (home / "show").write_text('#!/bin/sh\nprintf "<%s>" "$@" && echo && test "$2" != bad\n')
    (home / "show").chmod(0o755)
    write(home, *(f"{LINE} --out-dir 'exp/{number}'" for number in (1, 2, 3)))
    return home


def write(recipe, *lines):
    (recipe / "plan/kind.txt").write_text("".join(f"{line}\n" for line in lines))


def run_jobs(recipe, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(SCRIPT), *arguments], cwd=recipe, env=environment, capture_output=True, text=True, check=False
    )


def output(recipe, number: int) -> str:
    lines = (recipe / "my logs" / f"kind.{number}.log").read_text().splitlines()
    return next(line for line in lines if line.startswith("<"))


WORDS = "<--config><conf/one.yaml><--tags><labels=10%><it's><$HOME *>"


def test_a_job_for_each_line(recipe):
    done = run_jobs(recipe, "--nj", "2", "--threads=1", "--args", "--tags 'a b'", "plan/kind.txt", "my logs")
    assert done.returncode == 0, done.stderr
    assert "3 job(s), at most 2 at a time" in done.stdout
    assert output(recipe, 3) == f"{WORDS}<--out-dir><exp/3><--threads><1><--tags><a b>"


def test_the_lines_that_are_shown_can_be_pasted(recipe):
    done = run_jobs(recipe, "--args", '--tags "a  b"', "plan/kind.txt", "my logs")
    shown = [line for line in done.stdout.splitlines() if line.startswith("./show ")]
    assert len(shown) == 3
    pasted = subprocess.run(["bash", "-c", shown[1]], cwd=recipe, capture_output=True, text=True, check=True).stdout
    assert pasted.strip() == output(recipe, 2) == f"{WORDS}<--out-dir><exp/2><--tags><a  b>"
    assert f"# {shown[1]}" in (recipe / "my logs/kind.2.log").read_text(), "the log says it too"


def test_run_line_says_what_it_cannot_run(recipe):
    def run_line(*words):
        done = subprocess.run([str(RUN_LINE), *words], cwd=recipe, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    assert run_line("plan/kind.txt", "4") == (1, "run_line.sh: error: plan/kind.txt has no line 4\n")
    for words in (["plan/kind.txt"], ["plan/kind.txt", "0"], ["plan/kind.txt", "x"]):
        assert run_line(*words)[0] == 2
    code, text = run_line("plan/none.txt", "1")
    assert code == 1
    assert "plan/none.txt: No such file" in text


def test_a_run_that_fails_is_told(recipe):
    write(recipe, LINE, "./show --config bad", LINE)
    done = run_jobs(recipe, "plan/kind.txt", "my logs")
    assert done.returncode == 1
    assert "1 / 3 failed" in done.stderr


def test_gpus_reach_back_end_and_command(recipe):
    show = '#!/bin/sh\necho "$*" >>"back end.txt"\n'
    (recipe / "backend").write_text(show)
    (recipe / "backend").chmod(0o755)
    done = run_jobs(recipe, "--cmd", "./backend --mem 2G", "--ngpu", "2", "plan/kind.txt", "logs")
    assert done.returncode == 0, done.stderr
    job = f"{RUN_LINE} plan/kind.txt JOB --ngpu 2"
    expected = f"--mem 2G --gpu 2 --max-jobs-run 3 JOB=1:3 logs/kind.JOB.log {job}"
    assert (recipe / "back end.txt").read_text().strip() == expected


def test_what_is_refused(recipe):
    assert "no such list; asit-plan-runs writes it" in run_jobs(recipe, "plan/other.txt", "logs").stderr
    done = run_jobs(recipe, "plan/kind.txt")
    assert done.returncode == 2
    assert "usage:" in done.stderr
    (recipe / "plan" / "none.txt").touch()
    assert "no jobs" in run_jobs(recipe, "plan/none.txt", "logs").stdout


@pytest.mark.parametrize("place", ["JOB4711", "a JOB/JOBX", "MYJOBS"])
def test_a_path_with_the_word_job(recipe, place):
    home = recipe / place
    home.mkdir(parents=True)
    write(recipe, *[f"{LINE} JOB"] * 3)
    (recipe / "plan").rename(home / "plan")
    done = run_jobs(recipe, "--args", "--tags JOBXX", f"{home}/plan/kind.txt", f"{place}/logs")
    assert done.returncode == 0, done.stderr
    log = (home / "logs/kind.2.log").read_text()
    assert f"{WORDS}<JOB><--tags><JOBXX>" in log


STEP = "2026-11-26T10:27:27 INFO step {}/400 epoch 0 loss 5.4 | 181.7 clips/s, waiting 2 %, 0:34:55 left"


def test_warnings_and_progress_of_jobs_reach_the_console(recipe):
    (recipe / "my logs").mkdir()
    (recipe / "my logs/kind.4.log").write_text("2026-11-26T10:27:27 WARNING of another day\n")
    os.utime(recipe / "my logs/kind.4.log", (1e9, 1e9))
    text = f"echo 'x WARNING run put aside'; echo 'no WARNINGS'; echo '{STEP.format(7)}'; test \"$2\" != bad"
    (recipe / "show").write_text(f"#!/bin/sh\n{text}\n")
    write(recipe, LINE, "./show --config bad")
    done = run_jobs(recipe, "--args=# WARNING of the command line", "plan/kind.txt", "my logs")
    assert done.returncode == 1, "a failure stays one"
    shown = sorted(line for line in done.stderr.splitlines() if line.startswith("kind."))
    progress = "step 7/400, loss 5.4, 181.7 clips/s, 0:34:55 left"
    for number, code in ((1, 0), (2, 1)):
        assert shown.count(f"kind.{number}: WARNING run put aside") == 1
        assert [x for x in shown if x.startswith(f"kind.{number}: {progress}")] != [], shown
        assert f"kind.{number}: {progress}; ended with code {code}" in shown or len(shown) == 4


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_progress_is_live_and_signals_reach_the_jobs(recipe, sent, code):
    """Nothing is left: neither a job nor the watcher, whichever signal a terminal or a time limit sends."""
    text = f"echo '{STEP.format(7)}'; trap 'echo >stopped; exit 7' INT TERM; while :; do sleep 0.1; done"
    (recipe / "show").write_text(f"#!/bin/sh\n{text}\n")
    write(recipe, LINE)
    command = [str(SCRIPT), "plan/kind.txt", "my logs"]
    with subprocess.Popen(
        command,
        cwd=recipe,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        assert "kind.1: step 7/400" in next(line for line in process.stderr if line.startswith("kind."))
        os.killpg(process.pid, sent)
        process.stderr.read()  # to its end: whoever held it is gone
        assert process.wait(timeout=30) == code
    assert (recipe / "stopped").exists()
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("a process of the group is left")


def test_cpu_is_said_to_the_command(recipe):
    done = run_jobs(recipe, "--ngpu", "0", "--nj", "2", "--share-cores", "true", "plan/kind.txt", "my logs")
    assert done.returncode == 0, done.stderr
    assert re.search(r"<exp/3><--threads><[1-9]\d*><--ngpu><0>$", output(recipe, 3))
    assert "expected a whole number or none" in run_jobs(recipe, "--ngpu", "x", "plan/kind.txt", "l").stderr
    assert "--args: cannot split" in run_jobs(recipe, "--args", "--tags 'a", "plan/kind.txt", "l").stderr
    assert "--nj: expected at least 1" in run_jobs(recipe, "--nj", "0", "plan/kind.txt", "l").stderr
    assert "--nj: expected a whole number" in run_jobs(recipe, "--nj", "two", "plan/kind.txt", "l").stderr


def test_force_puts_the_run_folders_aside(recipe):
    for number in range(1, 4):
        (recipe / f"exp/{number}").mkdir(parents=True)
    shown = run_jobs(recipe, "--cmd", "asit-run-local --dry-run", "--force", "true", "plan/kind.txt", "my logs")
    assert shown.returncode == 86
    assert not list(recipe.glob("exp/*.old-*")), "a dry run changes nothing"
    run_jobs(recipe, "plan/kind.txt", "my logs")
    assert not list(recipe.glob("exp/*.old-*"))
    done = run_jobs(recipe, "--force", "true", "plan/kind.txt", "my logs")
    assert done.returncode == 0, done.stderr
    assert "exp/2: put aside as exp/2.old-1" in done.stdout
    assert sorted(path.name for path in (recipe / "exp").iterdir()) == ["1.old-1", "2.old-1", "3.old-1"]
