"""PBS against stand-ins for its commands, which check what they are given (no package of PBS is to be had)."""

from __future__ import annotations

import json
import sys

import pytest

COMMAND = "asit-run-pbs"


def submitted(pbs, number=1):
    return json.loads((pbs.home / f"job.{number}").read_text())["words"]


def test_an_array(pbs, run, tmp_path):
    words = ["a b", "it's", '"', "$HOME", "new\nline", "", "--x=JOB z"]
    print_words = [sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))"]
    options = ["--mem", "4G", "--time", "1:00:00", "--num-threads", 2, "--gpu", 1, "--max-jobs-run", 2]
    folder = tmp_path / "my recipe"
    folder.mkdir()
    assert run(pbs, folder, COMMAND, *options, "JOB=2:4", "my log/x.JOB.log", *print_words, *words) == ""
    for index in (2, 3, 4):
        lines = (folder / f"my log/x.{index}.log").read_text().splitlines()
        expected = ascii([w.replace("JOB", str(index)) for w in words])
        assert [line for line in lines if not line.startswith("#")] == [expected]
        assert lines[-1].endswith("with status 0")
    assert submitted(pbs) == [
        *[
            "-V",
            "-S",
            "/bin/bash",
            "-j",
            "oe",
            "-l",
            "mem=4gb",
            "-l",
            "walltime=1:00:00",
            "-l",
            "ncpus=2",
            "-l",
            "ngpus=1",
            "-J",
            "2-4%2",
        ],
        *("-o", "my log/q/x.out.^array_index^", "my log/q/x.sh"),
    ]


def test_settings_of_the_site(pbs, run, tmp_path):
    (tmp_path / "site.yaml").write_text("partition: long\ngpu_partition: gpus\naccount: us\nsetup: export SEEN=setup\n")
    site = {"ASIT_SITE": str(tmp_path / "site.yaml")}
    run(pbs, tmp_path, COMMAND, "x.log", "sh", "-c", "echo $SEEN", **site)
    assert "setup" in (tmp_path / "x.log").read_text().splitlines()
    run(pbs, tmp_path, COMMAND, "--gpu", 1, "x.log", "true", **site)
    assert submitted(pbs, 1)[-7:-3] == ["-q", "long", "-A", "us"]
    assert submitted(pbs, 2)[-7:-3] == ["-q", "gpus", "-A", "us"]


def test_failed_indices_alone_are_run_again_also_where_they_are_no_range(pbs, run, tmp_path):
    script = "echo ran >>runs.JOB; test JOB != 1 -a JOB != 3 -o -e mended.JOB || { touch mended.JOB; exit 3; }"
    printed = run(pbs, tmp_path, COMMAND, "--retries", 1, "JOB=1:4", "x.JOB.log", "sh", "-c", script)
    assert "retry 1: JOB=1,3" in printed
    assert [len((tmp_path / f"runs.{i}").read_text().splitlines()) for i in (1, 2, 3, 4)] == [2, 1, 2, 1]
    assert "-J" in submitted(pbs, 2)
    assert submitted(pbs, 2)[submitted(pbs, 2).index("-J") + 1] == "1-2"


def test_what_stopped_after_saving_is_submitted_again(pbs, run, tmp_path):
    printed = run(pbs, tmp_path, COMMAND, "x.log", "sh", "-c", "test -e saved || { touch saved; exit 85; }")
    assert "submitting again" in printed


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        ({"Exit_status": -29}, "the time limit was reached"),
        ({"Exit_status": -27}, "out of memory"),
        (
            {"Exit_status": 271, "comment": "Job terminated by somebody, in a text longer than a line"},
            "longer than a line",
        ),
        ({"comment": "deleted before it ran"}, "without having run: deleted"),
        ({"Exit_status": -1}, "PBS could not run it"),
    ],
)
def test_ends_that_only_pbs_knows_are_named(pbs, run, tmp_path, end, cause):
    (pbs.home / "fate.json").write_text(json.dumps({"2": end}))
    printed = run(pbs, tmp_path, COMMAND, "JOB=1:2", "x.JOB.log", "true", code=1)
    assert "1 / 2 failed" in printed
    assert cause in printed


def test_what_pbs_refuses(pbs, run, tmp_path):
    assert "invalid option" in run(pbs, tmp_path, COMMAND, "-p", "7", "x.log", "true", code=1)
    assert "a colon" in run(pbs, tmp_path, COMMAND, "a:b.log", "true", code=1)
    assert "one node" in run(pbs, tmp_path, COMMAND, "--num-nodes", 2, "x.log", "true", code=1)
