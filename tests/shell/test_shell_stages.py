from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time

import pytest


def wait_for(condition) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("waited for too long")


@pytest.mark.parametrize(
    ("words", "stages"),
    [
        ([], ["data", "train", "score"]),
        (["--stage", "1"], ["train", "score"]),
        (["--stage", "train", "--stop-stage", "train"], ["train"]),
        (["--stop-stage", "1"], ["data", "train"]),
        (["--skip-stages", "0 score"], ["train"]),
        (["--stage", "2", "--stop-stage", "1"], []),
        (["--stage", "01"], ["train", "score"]),
    ],
)
def test_choice_of_stages(recipe, words, stages):
    recipe.run(*words)
    assert recipe.ran() == stages


def test_unknown_stage_lists_the_known(recipe):
    assert "no stage 'trian'; the stages are: 0=data 1=train 2=score" in recipe.run("--stage", "trian", code=2)


def test_finished_stages_do_nothing_until_something_changes(recipe):
    recipe.run()
    recipe.ran()
    out = recipe.run("--nj", "7", "--quick", "true")
    assert recipe.ran() == [], "neither option changes what a stage makes"
    assert "Stage 1 (train) is finished and unchanged" in out


def test_weights_by_name_are_an_input(recipe):
    checkout = recipe.folder.parent / "checkout"
    shutil.copytree(recipe.environment["ASIT_TOOLS"], checkout / "tools")
    recipe.environment["ASIT_TOOLS"] = str(checkout / "tools")
    recipe.script((recipe.folder / "run.sh").read_text().replace("conf/train.yaml", "asit-none"))
    recipe.run()
    weights = checkout / "asit/weights/asit-none.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_text("1")
    assert "changed: input asit-none" in recipe.run()
    weights.write_text("2")
    assert "changed: input asit-none" in recipe.run()


def test_option_reruns_the_stages_that_use_it_and_those_after(recipe):
    recipe.run()
    recipe.ran()
    out = recipe.run("--epochs", "4")
    assert recipe.ran() == ["train", "score"]
    assert "changed: variable exp" in out
    recipe.run("--text", "new", "--epochs", "4")
    assert recipe.ran() == ["data", "train", "score"], "used in a function that the stage calls"


def test_changed_input_command_or_missing_output_reruns(recipe):
    recipe.run()
    recipe.ran()
    (recipe.folder / "conf/train.yaml").write_text("lr: 2\n")
    assert "changed: input conf/train.yaml" in recipe.run()
    assert recipe.ran() == ["train", "score"]
    run_sh = (recipe.folder / "run.sh").read_text()
    recipe.script(run_sh.replace("    note score\n", "    # only a comment\n    note score\n"))
    recipe.run()
    assert recipe.ran() == []
    recipe.script(run_sh.replace("    note score\n", "    note score\n    true\n"))
    assert "changed: commands" in recipe.run()
    assert recipe.ran() == ["score"]
    (recipe.folder / "exp/train_3/model").unlink()
    assert "changed: exp/train_3/model is missing" in recipe.run()
    assert recipe.ran() == ["train", "score"]


def test_touched_input_with_the_same_content_changes_nothing(recipe):
    recipe.run()
    recipe.ran()
    (recipe.folder / "conf/train.yaml").touch()
    recipe.run()
    assert recipe.ran() == []


def test_rerun_of_one_stage_makes_the_next_run_later(recipe):
    recipe.run()
    recipe.ran()
    recipe.run("--stage", "0", "--stop-stage", "0", "--force", "true")
    assert recipe.ran() == ["data"]
    recipe.run()
    assert recipe.ran() == ["train", "score"]


def test_failing_stage_leaves_no_record(recipe):
    recipe.step("false")
    out = recipe.run(code=1)
    assert recipe.ran() == ["data", "train"]
    assert "Stage train failed (exit code 1)" in out
    assert "--stage train" in out
    assert "Successfully" not in out
    assert not (recipe.folder / "exp/.done/train").exists()
    recipe.step("true")
    recipe.run()
    assert recipe.ran() == ["train", "score"]


def test_exit_inside_a_stage_is_not_success(recipe):
    run_sh = (recipe.folder / "run.sh").read_text()
    recipe.script(run_sh.replace("    ./step\n", "    exit 0\n"))
    assert "ended inside stage train" in recipe.run(code=1)
    assert not (recipe.folder / "exp/.done/train").exists()


def test_interrupted_stage_leaves_no_record(recipe):
    recipe.step("touch started; sleep 30")
    process = subprocess.Popen(
        [str(recipe.folder / "run.sh")],
        env=recipe.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    wait_for((recipe.folder / "started").exists)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert not (recipe.folder / "exp/.done/train").exists()


def test_dry_run_tells_and_does_nothing(recipe):
    out = recipe.run("--dry-run")
    assert out.count("would run") == 3
    assert recipe.ran() == []
    recipe.run("--stop-stage", "1")
    recipe.ran()
    out = recipe.run("--dry-run", "true", "--epochs", "5")
    assert "Stage 0 (data) is finished" in out
    assert "Stage 1 (train) would run: Train a model (changed: variable exp)" in out
    assert "Stage 2 (score) would run" in out
    assert recipe.ran() == []


def test_status_lists_stages(recipe):
    recipe.run("--stop-stage", "train")
    out = recipe.run("--status")
    assert [re.split(r"\s{2,}", line.strip())[-1] for line in out.splitlines()] == ["finished", "finished", "not done"]
    assert "changed: variable exp" in recipe.run("--status", "--epochs", "4")


def test_log_lines(recipe):
    lines = recipe.run("--text", "x y").splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d \(run\.sh:\d+:main\) "
    assert re.fullmatch(stamp + r"\S*run\.sh --text x\\ y", lines[0].replace(r"\ recipes/it\'s\ a\ toy", ""))
    assert re.fullmatch(stamp + r"Successfully finished\. \[elapsed=\d+s\]", lines[-1])


def test_failed_background_job_fails_the_stage(recipe):
    run_sh = (recipe.folder / "run.sh").read_text()
    jobs = '(sleep 0.1; exit "$((i == 2 ? 3 : 0))") & pids+=($!)'
    parallel = f'    pids=()\n    for i in 1 2 3; do {jobs}; done\n    wait_all "${{pids[@]}}"\n'
    recipe.script(run_sh.replace("    ./step\n", parallel))
    out = recipe.run(code=1)
    assert re.search(r"background job \d+ failed \(exit code 3\)", out)
    assert recipe.ran() == ["data", "train"]
    recipe.script(run_sh.replace("    ./step\n", parallel.replace("i == 2", "i == 9")))
    recipe.run()
    assert recipe.ran() == ["train", "score"]


def test_done_dir_of_a_variant(recipe):
    run_sh = (recipe.folder / "run.sh").read_text()
    recipe.script(run_sh.replace("note() {", "done_dir=exp/.done_$epochs\nnote() {"))
    recipe.run("--epochs", "4")
    recipe.run("--epochs", "5")
    recipe.ran()
    recipe.run("--epochs", "4")
    assert recipe.ran() == [], "variants with folders of their own do not undo each other"


def with_folder(recipe) -> None:
    """Let the training stage depend on the folder conf."""
    recipe.script((recipe.folder / "run.sh").read_text().replace("conf/train.yaml data/text", "conf data/text"))


def test_a_copied_recipe_is_as_finished(recipe):
    with_folder(recipe)
    (recipe.folder / "conf/a folder").mkdir()
    (recipe.folder / "conf/a folder/new\nline").write_text("x")
    (recipe.folder / "conf/loop").symlink_to(".")
    recipe.run()
    recipe.ran()
    shutil.copytree(recipe.folder, recipe.folder.with_name("copy"), symlinks=True, copy_function=shutil.copyfile)
    recipe.folder = recipe.folder.with_name("copy")
    for name in ("run.sh", "step"):
        (recipe.folder / name).chmod(0o755)
    recipe.run()
    assert recipe.ran() == []


@pytest.mark.parametrize("kept", ["size and time", "size"])
def test_content_of_a_folder_counts(recipe, kept):
    with_folder(recipe)
    recipe.run()
    recipe.ran()
    path = recipe.folder / "conf/train.yaml"
    before = path.stat()
    path.write_text("lr: 2\n")
    if kept == "size and time":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "changed: input conf" in recipe.run()
    assert recipe.ran() == ["train", "score"]
    path.rename(path.with_name("other.yaml"))
    recipe.run()
    assert recipe.ran() == ["train", "score"], "a new name is a change"


def test_unchanged_files_of_a_folder_are_not_read_again(recipe):
    with_folder(recipe)
    recipe.run()
    recipe.ran()
    cache = recipe.folder / "exp/.done/.checksums"
    text = cache.read_text()
    assert "conf/train.yaml" in text
    cache.write_text(re.sub(r"\d+(?=\n\])", "1", text))
    assert "changed: input conf" in recipe.run("--dry-run"), "the cached checksum is the one that counts"
    for damaged in ("{", "[]", '{"x": 3}'):
        cache.write_text(damaged)
        recipe.run()
        assert recipe.ran() == []


def test_inputs_of_stages_left_out_are_not_read(recipe):
    with_folder(recipe)
    recipe.run()
    recipe.ran()
    (recipe.folder / "exp/.done/.checksums").unlink()
    (recipe.folder / "conf/train.yaml").write_text("lr: 2\n")
    recipe.run("--stage", "score")
    assert recipe.ran() == [], "the stage before has not run again yet"
    assert not (recipe.folder / "exp/.done/.checksums").exists()
    recipe.run("--stage", "train", "--stop-stage", "train")
    recipe.run("--stage", "score")
    assert recipe.ran() == ["train", "score"]


def test_jobs_that_were_only_shown_record_nothing(recipe):
    recipe.step("exit 86")
    out = recipe.run(code=86)
    assert "Stage train was only shown" in out
    assert "failed" not in out
    assert recipe.ran() == ["data", "train"]
    recipe.step("true")
    recipe.run()
    assert recipe.ran() == ["train", "score"]


def test_a_record_without_its_end_is_no_record(recipe):
    recipe.run()
    recipe.ran()
    for name in ("train", "score"):
        path = recipe.folder / "exp/.done" / name
        path.write_text(path.read_text().split("finished ")[0])
    recipe.run()
    assert recipe.ran() == ["train", "score"]


def test_a_record_that_cannot_be_written(recipe):
    recipe.step("rm -rf exp/.done && touch exp/.done")
    out = recipe.run(code=2)
    assert "cannot write exp/.done/train" in out
    assert "Stage train failed" in out


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux tells when another process ends")
def test_jobs_end_with_the_run_that_started_them(recipe):
    job = "trap 'touch saved; exit 85' TERM; touch started; while :; do sleep 0.05; done"
    recipe.step(f"exec asit-run-local x.log bash -c {shlex.quote(job)}")
    process = subprocess.Popen(
        [str(recipe.folder / "run.sh")], env=recipe.environment, stderr=subprocess.PIPE, text=True
    )
    wait_for((recipe.folder / "started").exists)
    process.kill()
    said = process.communicate(timeout=60)[1]  # until the last child has closed it
    assert (recipe.folder / "saved").exists()
    assert f"asit-run-local: run.sh (process {process.pid}) is gone" in said
    recipe.step("true")
    recipe.run()  # nothing is at work there


def test_one_run_at_a_time(recipe):
    recipe.step("touch started; while [[ ! -e go ]]; do sleep 0.05; done")
    first = subprocess.Popen([str(recipe.folder / "run.sh")], env=recipe.environment, stdout=subprocess.DEVNULL)
    try:
        wait_for((recipe.folder / "started").exists)
        assert "another run.sh" in recipe.run("--stage", "train", code=2)
        recipe.run("--status")
        recipe.run("--dry-run")
    finally:
        (recipe.folder / "go").touch()
        assert first.wait(timeout=30) == 0
    assert recipe.ran() == ["data", "train", "score"]


def test_experiments_share_the_stages_before_the_training(recipe):
    """--tag: trainings, scores and their records in exp/<tag>; data stay. Two experiments may run at a time."""
    script = (recipe.folder / "run.sh").read_text()
    script = script.replace("exp=exp/train_$epochs # derived from an option", 'exp=$(experiment exp "$tag")')
    script = script.replace("if begin 1 train", 'records_in "$exp/.done"\nif begin 1 train')
    recipe.script(script)
    recipe.run()
    assert recipe.ran() == ["data", "train", "score"]
    assert {path.name for path in (recipe.folder / "exp/.done").glob("[!.]*")} == {"data", "train", "score"}
    recipe.step("[[ -n ${INNER-} ]] || INNER=1 ./run.sh --tag b")
    recipe.run("--tag", "a")
    assert recipe.ran() == ["train", "train", "score", "score"]
    assert {path.name for path in (recipe.folder / "exp/b/.done").glob("[!.]*")} == {"train", "score"}
    for words in ([], ["--tag", "a"], ["--tag", "b"]):
        recipe.run(*words)
        assert recipe.ran() == []
    recipe.step("[[ -n ${INNER-} ]] || INNER=1 ./run.sh --tag a --force true")
    assert "another run.sh, or jobs that it has left, are at work on exp/a" in recipe.run(
        "--tag", "a", "--stage", "train", "--force", "true", code=2
    )
    (recipe.folder / "trace").unlink()
    recipe.step("true")
    recipe.run("--text", "new")
    assert recipe.ran() == ["data", "train", "score"]
    recipe.run("--text", "new", "--tag", "b")
    assert recipe.ran() == ["train", "score"], "what the experiment was made from has changed"


@pytest.mark.parametrize("tag", ["a/b", "..", ".hidden", "a b", "log", "plan", "data"])
def test_a_tag_is_a_name_of_its_own(recipe, tag):
    recipe.script((recipe.folder / "run.sh").read_text().replace("exp=exp/", 'exp=$(experiment exp "$tag")/'))
    assert "error: --tag: " in recipe.run("--tag", tag, code=2)
    assert not (recipe.folder / "trace").exists()


SHARED = """#!/usr/bin/env bash
# Toy recipe with the stages that recipes share.
set -euo pipefail
cd "$(dirname "$0")"
tools=$ASIT_TOOLS train_cmd=run cuda_cmd=run
. "$tools/recipe.sh"
. "$tools/training.sh" # options and stages that recipes share
nj=2; ngpu=0
runs=conf/runs.yaml
pretrain_config=conf/pretrain.yaml
parse_options "$@"
open_experiment
records_in "$exp/.done"
if begin 0 pretrain "Pretrain"; then
    nj=1 pretrain
fi
if begin 1 finetune "Fine-tune"; then
    finetune
fi
if begin 2 score "Score"; then
    score
fi
finish
"""


@pytest.fixture
def shared(recipe):
    """The toy recipe with its own copy of tools/, whose jobs only say that they have run."""
    tools = recipe.folder / "tools"
    shutil.copytree(recipe.environment["ASIT_TOOLS"], tools, ignore=shutil.ignore_patterns("__pycache__"))
    (tools / "run_jobs.sh").write_text('#!/bin/bash\nprintf "%s " "$@" >>trace && echo >>trace\n')
    commands = recipe.folder / "bin"
    commands.mkdir()
    (commands / "asit-plan-runs").write_text("#!/bin/bash\n")
    (commands / "asit-plan-runs").chmod(0o755)
    recipe.environment |= {"ASIT_TOOLS": str(tools), "PATH": f"{commands}:{recipe.environment['PATH']}"}
    recipe.script(SHARED)
    return recipe


def jobs(recipe) -> list[str]:
    """Lists of jobs that were run since the last call."""
    trace = recipe.folder / "trace"
    found = re.findall(r"plan/(\w+)\.txt", trace.read_text()) if trace.exists() else []
    trace.unlink(missing_ok=True)
    return found


def test_shared_stages_depend_on_the_options_that_only_they_mention(shared):
    scores = ["score", "knn", "verify", "baseline"]
    shared.run()
    assert jobs(shared) == ["pretrain", "finetune", *scores]
    assert "changed: variable finetune_args" in shared.run("--finetune-args", "--lr 1")
    assert jobs(shared) == ["finetune", *scores]
    assert "changed: variable pretrain_args" in shared.run("--finetune-args", "--lr 1", "--pretrain-args", "--lr 2")
    assert jobs(shared) == ["pretrain", "finetune", *scores]
    assert "option" in shared.run("--no-such-option", "1", code=2)
    assert "--pretrain-args" in shared.run("--help")


def test_shared_stages_depend_on_their_own_text(shared):
    shared.run()
    jobs(shared)
    training = shared.folder / "tools/training.sh"
    text = training.read_text()
    training.write_text(text.replace("score() {", "# only a comment\nscore() {"))
    shared.run()
    assert jobs(shared) == []
    training.write_text(text.replace("    local list\n", "    local list\n    true\n"))
    assert "changed: commands" in shared.run()
    assert jobs(shared) == ["score", "knn", "verify", "baseline"]


def test_an_ablation_says_what_it_cannot_do_and_how_it_was_called(shared):
    script = SHARED.replace("nj=2;", 'ablation=""\nnj=2;')
    script = script.replace("open_experiment", "[[ -z $ablation ]] || compare_pretrainings\nopen_experiment", 1)
    shared.script(script.replace("finish\n", "echo called with$(changed_options)\nfinish\n"))
    (shared.folder / "conf/amounts.yaml").write_text("pretrainings:\n  all: {}\n")
    assert "--ablation pretrains and --init" in shared.run("--ablation", "conf/amounts.yaml", "--init", "b", code=2)
    out = shared.run("--ablation", "conf/amounts.yaml", "--pretrain-args", "--lr 1")
    assert "called with --ablation 'conf/amounts.yaml' --tag 'amounts' --pretrain-args '--lr 1'\n" in out
    assert "called with --init 'b'\n" in shared.run("--init", "b")
