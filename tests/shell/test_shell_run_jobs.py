"""tools/run_jobs.sh: one command for each file of options, from a directory with a space in its name."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "run_jobs.sh"


@pytest.fixture
def recipe(tmp_path):
    home = tmp_path / "my recipe"
    (home / "runs" / "kind").mkdir(parents=True)
    (home / "show").write_text('#!/bin/sh\nprintf "<%s>" "$@" && echo && grep -q good "$2"\n')
    (home / "show").chmod(0o755)
    for number in range(1, 4):
        (home / "runs" / "kind" / f"{number}.yaml").write_text("good\n")
    return home


def run_jobs(recipe, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [str(SCRIPT), *arguments], cwd=recipe, env=environment, capture_output=True, text=True, check=False
    )


def output(recipe, number: int) -> str:
    lines = (recipe / "my logs" / f"kind.{number}.log").read_text().splitlines()
    return next(line for line in lines if line.startswith("<"))


def test_a_job_for_each_file(recipe):
    done = run_jobs(recipe, "--nj", "2", "--threads=1", "./show", "runs/kind/", "my logs", "--", "--tags", "a b")
    assert done.returncode == 0, done.stderr
    assert "3 run(s), at most 2 at a time" in done.stdout
    assert output(recipe, 3) == "<--config><runs/kind/3.yaml><--threads><1><--tags><a b>"


def test_a_run_that_fails_is_told(recipe):
    (recipe / "runs" / "kind" / "2.yaml").write_text("bad\n")
    done = run_jobs(recipe, "./show", "runs/kind", "my logs")
    assert done.returncode == 1
    assert "1 / 3 failed" in done.stderr


def test_gpus_reach_back_end_and_command(recipe):
    show = '#!/bin/sh\necho "$*" >>"back end.txt"\n'
    (recipe / "backend").write_text(show)
    (recipe / "backend").chmod(0o755)
    done = run_jobs(recipe, "--cmd", "./backend --mem 2G", "--ngpu", "2", "./show", "runs/kind", "logs")
    assert done.returncode == 0, done.stderr
    expected = "--mem 2G --gpu 2 --max-jobs-run 3 JOB=1:3 logs/kind.JOB.log ./show --config runs/kind/JOB.yaml --ngpu 2"
    assert (recipe / "back end.txt").read_text().strip() == expected


def test_what_is_refused(recipe):
    assert "no such folder; asit-plan-runs makes it" in run_jobs(recipe, "./show", "runs/other", "logs").stderr
    done = run_jobs(recipe, "./show", "runs/kind")
    assert done.returncode == 2
    assert "usage:" in done.stderr
    (recipe / "runs" / "none").mkdir()
    assert "no runs" in run_jobs(recipe, "./show", "runs/none", "logs").stdout


@pytest.mark.parametrize("place", ["JOB4711", "a JOB/JOBX", "MYJOBS"])
def test_a_path_with_the_word_job(recipe, place):
    home = recipe / place
    (home / "runs").mkdir(parents=True)
    (recipe / "runs/kind").rename(home / "runs/kind")
    done = run_jobs(recipe, "./show", f"{home}/runs/kind", f"{place}/logs", "--", "--tags", "JOBXX")
    assert done.returncode == 0, done.stderr
    log = (home / "logs/kind.2.log").read_text()
    assert f"<--config><{home}/runs/kind/2.yaml><--tags><JOBXX>" in log


def test_warnings_of_jobs_reach_the_console(recipe):
    text = "echo 'x WARNING run put aside'; echo 'WARNING first word'; echo 'no WARNINGS'; grep -q good \"$2\""
    (recipe / "show").write_text(f"#!/bin/sh\n{text}\n")
    (recipe / "runs/kind/2.yaml").write_text("bad\n")
    done = run_jobs(recipe, "./show", "runs/kind", "my logs", "--", "# WARNING of the command line")
    assert done.returncode == 1, "a failure stays one"
    shown = [line for line in done.stderr.splitlines() if line.startswith("kind: ")]
    assert shown == ["kind: x WARNING run put aside", "kind: WARNING first word"]


def test_cpu_is_said_to_the_command(recipe):
    done = run_jobs(recipe, "--ngpu", "0", "--nj", "2", "--share-cores", "true", "./show", "runs/kind", "my logs")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"<--config><runs/kind/3.yaml><--threads><[1-9]\d*><--ngpu><0>", output(recipe, 3))
    assert "expected a whole number or none" in run_jobs(recipe, "--ngpu", "x", "./show", "runs/kind", "l").stderr
    assert "--nj: expected at least 1" in run_jobs(recipe, "--nj", "0", "./show", "runs/kind", "l").stderr
    assert "--nj: expected a whole number" in run_jobs(recipe, "--nj", "two", "./show", "runs/kind", "l").stderr


def test_force_puts_the_run_folders_aside(recipe):
    for number in range(1, 4):
        (recipe / f"runs/kind/{number}.yaml").write_text(f"good: yes\nout_dir: exp/{number}\n")
        (recipe / f"exp/{number}").mkdir(parents=True)
    shown = run_jobs(recipe, "--cmd", "asit-run-local --dry-run", "--force", "true", "./show", "runs/kind", "my logs")
    assert shown.returncode == 86
    assert not list(recipe.glob("exp/*.old-*")), "a dry run changes nothing"
    run_jobs(recipe, "./show", "runs/kind", "my logs")
    assert not list(recipe.glob("exp/*.old-*"))
    done = run_jobs(recipe, "--force", "true", "./show", "runs/kind", "my logs")
    assert done.returncode == 0, done.stderr
    assert "exp/2: put aside as exp/2.old-1" in done.stdout
    assert sorted(path.name for path in (recipe / "exp").iterdir()) == ["1.old-1", "2.old-1", "3.old-1"]
