from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asit.errors import AsitError
from asit.launch.contract import OPERATORS, Job, footer, header, last_code, parse

WORD = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1)


def test_options_before_and_after_the_range():
    line = "--mem 4G -V --num-threads 2 JOB=2:5 --gpu=1 -pe smp 4 -tc 3 log/x.JOB.log run --mem JOB"
    request = parse(line.split())
    assert list(request.indices) == [2, 3, 4, 5]
    assert request.options == {"mem": "4G", "num-threads": "2", "gpu": "1", "pe": "smp 4", "max-jobs-run": "3"}
    assert (request.num_threads, request.gpus, request.max_jobs_run) == (2, 1, 3)
    assert request.job(4).log == "log/x.4.log"
    assert request.job(4).argv == ("run", "--mem", "4"), "options after the log belong to the command"
    assert " ".join(request.given) == "--mem 4G -V --num-threads 2 --gpu=1 -pe smp 4 -tc 3"


def test_last_option_wins_but_the_strictest_limit():
    request = parse(["--gpu", "1", "--gpu=2", "-tc", "2", "--max-jobs-run", "8", "x.log", "true"])
    assert request.gpus == 2
    assert request.max_jobs_run == 2


def test_any_identifier_and_single_index():
    request = parse(["SPLIT_1=7", "x.log", "echo", "a.SPLIT_1.b", "JOB"])
    assert list(request.indices) == [7]
    assert request.job(7).argv == ("echo", "a.7.b", "JOB")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "found no log file"),
        ("JOB=1:2", "found no log file"),
        ("x.log", "found no command after 'x.log'"),
        ("--mem", "--mem: a value is missing"),
        ("JOB=1:4 x.log true", "all jobs would write to one log, x.log"),
        ("JOB=4:1 x.JOB.log true", "1 <= first <= last"),
        ("JOB=0:4 x.JOB.log true", "1 <= first <= last"),
        ("JOB=1:nj x.JOB.log true", "expected a log file or a range"),
        ("--num-threads 0 x.log true", "--num-threads: expected a whole number of at least 1, found '0'"),
        ("--gpu some x.log true", "--gpu: expected a whole number"),
        ("--max-jobs-run 0 x.log true", "--max-jobs-run"),
        ("--pick some x.log true", "--pick: expected one of"),
    ],
)
def test_errors(words, message):
    with pytest.raises(AsitError) as error:
        parse(words.split())
    assert message in str(error.value)


@given(st.lists(WORD, min_size=1, max_size=4))
def test_arguments_stay_as_they_are(words):
    argv = ("echo", *words)
    job = parse(["x.log", *argv]).job(1)
    assert job.argv == argv
    if OPERATORS.isdisjoint(words):
        assert job.command() == list(argv)


@pytest.mark.parametrize("word", ['it\'s "both" `x` $HOME', "a\nb", "*", "a|b", "--x=a;b", "\\", "!", ">file", "é"])
def test_words_beside_an_operator_stay_as_they_are(word):
    job = parse(["x.log", "printf", "%s", word, "|", "cat", "2>&1"]).job(1)
    assert subprocess.run(job.command(), capture_output=True, text=True, check=True).stdout == word


def test_failure_inside_a_pipe_counts():
    job = parse(["x.log", "false", "|", "cat"]).job(1)
    assert subprocess.run(job.command(), check=False).returncode == 1


def test_log_of_a_job(tmp_path):
    log = tmp_path / "x.log"
    job = Job(1, str(log), ("printf", "a\nb 'c'"))
    assert last_code(str(log)) is None
    log.write_text(header(job, 0.0) + "output\n")
    assert all(line.startswith("#") for line in header(job, 0.0).splitlines())
    assert "# Running on " in log.read_text()
    assert "\n# Started at Thu Jan  1 " in log.read_text()
    assert last_code(str(log)) is None
    log.write_text(log.read_text() + footer(3, 10.2, 75.9, threads=2))
    lines = log.read_text().splitlines()
    assert lines[-2] == "# Accounting: time=65 threads=2"
    assert lines[-1].startswith("# Ended (code 3) at ")
    assert lines[-1].endswith(", elapsed time 65 seconds")
    assert last_code(str(log)) == 3
    assert "# Ended (code 137; signal 9) at" in footer(-9, 0, 0, 1)


def test_log_of_kaldis_cluster_scripts_is_understood(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("# Finished at Thu Jan  1 00:00:00 UTC 1970 with status 1\n")
    assert last_code(str(log)) == 1


def test_pick(tmp_path):
    for index, code in ((1, 0), (2, 1)):
        (tmp_path / f"x.{index}.log").write_text(footer(code, 0, 0, 1))
    (tmp_path / "x.3.log").write_text("# killed before its end\n")

    def picked(which):
        return parse(["--pick", which, "JOB=1:4", f"{tmp_path}/x.JOB.log", "true"]).picked()

    assert picked("all") == ([1, 2, 3, 4], [])
    assert picked("failed") == ([2, 3, 4], [])
    assert picked("incomplete") == ([3, 4], [2])


def test_options_of_clusters():
    words = [
        "--dry-run",
        "--num_nodes",
        "2",
        "--ngpu",
        "4",
        "--signal-before",
        "60",
        "-l",
        "mem=2G",
        "-V",
        "-q",
        "all.q",
        "-sync",
        "y",
        "x.log",
        "true",
    ]
    request = parse(words)
    assert (request.dry_run, request.num_nodes, request.gpus, request.signal_before) == (True, 2, 4, 60)
    assert request.native == ("-l", "mem=2G", "-V", "-q", "all.q")
    assert not parse(["--dry-run", "false", "x.log", "true"]).dry_run
    with pytest.raises(AsitError, match="--dry-run: expected true or false, found 'maybe'"):
        parse(["--dry-run=maybe", "x.log", "true"])


@pytest.mark.parametrize("last", ["100001", "999999999", "999999999999", "9" * 5000])
def test_a_range_has_a_limit(last):
    with pytest.raises(AsitError, match="100000"):
        parse([f"JOB=1:{last}", "x.JOB.log", "true"])


@pytest.mark.parametrize("value", ["9" * 5000, "²", "٣", "-1", "1.5", ""])
@pytest.mark.parametrize("option", ["--num-threads", "--max-jobs-run", "--retries", "--gpu"])
def test_numbers_of_options(option, value):
    with pytest.raises(AsitError, match=f"{option}: expected a whole number"):
        parse([option, value, option, value, "x.log", "true"])
