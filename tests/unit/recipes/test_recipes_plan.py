"""conf/runs.yaml to command lines."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from asit.config import from_dict, parse
from asit.errors import AsitError
from asit.models import shipped
from asit.recipes.job_list import line, out_dirs, put_aside
from asit.recipes.plan import COMMANDS, Settings, options_of_runs, write
from asit.recipes.runs_file import read_plan, sets
from asit.runs.finetune import Settings as FinetuneSettings
from asit.runs.knn import Settings as KnnSettings
from asit.runs.verify import Settings as VerifySettings

RUNS = """
draws: 2
runs:
  - {task: speakers, labels: 10%, train: "few_{draw}", valid: dev, test: [clean, noisy], config: finetune.yaml}
  - {task: words, train: train, test: test, config: finetune.yaml, systems: [pretrained, probe]}
"""


@pytest.fixture
def recipe(tmp_path):
    conf = tmp_path / "my conf"
    conf.mkdir()
    (conf / "runs.yaml").write_text(RUNS)
    (conf / "finetune.yaml").write_text("lr: 1.0e-3\ntask: classification\nsteps: 7\n")
    (conf / "pretrain.yaml").write_text("steps: 9\n")
    return conf


def settings(recipe, **more) -> Settings:
    own = {"runs": str(recipe / "runs.yaml"), "pretrain_config": str(recipe / "pretrain.yaml")}
    return from_dict(Settings, {**own, "out": str(recipe / "plan"), **more})


def test_systems_of_a_run_differ_in_their_name_only(recipe) -> None:
    tuned = options_of_runs(settings(recipe, seeds=2))["finetune"]
    assert len(tuned) == 8
    pretrained, scratch = tuned[:2]
    assert {k for k in pretrained.keys() | scratch.keys() if pretrained.get(k) != scratch.get(k)} == {
        "out_dir",
        "tags",
        "from_scratch",
    }
    assert pretrained["init"] == "exp/pretrain_0/backbone.safetensors"
    assert pretrained["tags"] == ["task=speakers", "labels=10%", "seed=0", "system=pretrained"]
    assert tuned[3]["freeze_backbone"] is True
    assert [run["train_dir"] for run in tuned[::4]] == ["data/few_0", "data/few_1"]
    assert "valid_dir" not in tuned[2]
    assert "lr" not in tuned[0], "what the file says stays there"


def test_weights_that_ship_are_a_system(recipe, monkeypatch, tmp_path) -> None:
    (tmp_path / "asit-tiny.safetensors").touch()
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    systems = "systems: [pretrained, asit-tiny, asit-tiny probe, asit-tiny weighted]"
    (recipe / "runs.yaml").write_text(RUNS.replace("systems: [pretrained, probe]", systems))
    tuned, probe, weighted = options_of_runs(settings(recipe))["finetune"][3:6]
    assert (weighted["layers"], weighted["out_dir"]) == ("weighted", "exp/words_all_asit-tiny_weighted_0")
    assert (tuned["init"], tuned["tags"][-1]) == ("asit-tiny", "system=asit-tiny")
    assert tuned["out_dir"] == "exp/words_all_asit-tiny_0"
    assert (probe["init"], probe["freeze_backbone"]) == ("asit-tiny", True)
    assert probe["tags"][-1] == "system=linear probe of asit-tiny"
    (recipe / "runs.yaml").write_text(RUNS.replace("[pretrained, probe]", "[asit-tiny knn]"))
    with pytest.raises(AsitError, match="unknown system 'asit-tiny knn'"):
        read_plan(str(recipe / "runs.yaml"))


@pytest.mark.parametrize(
    ("systems", "pretrained"),
    [("[asit-tiny, scratch, baseline]", 0), ("[scratch, baseline]", 1), ("[asit-tiny, knn]", 1), ("[asit-tiny]", 0)],
)
def test_nothing_is_pretrained_that_no_system_needs(recipe, systems, pretrained) -> None:
    run = f"{{task: t, train: a, valid: v, test: c, config: finetune.yaml, systems: {systems}}}"
    (recipe / "runs.yaml").write_text(f"runs:\n  - {run}\n")
    found = options_of_runs(settings(recipe))
    assert len(found["pretrain"]) == pretrained
    wanted = "exp/pretrain_0/backbone.safetensors" if pretrained else "asit-tiny"
    assert {job["init"] for job in found["finetune"] if "from_scratch" in job} <= {wanted}


def test_every_test_set_is_scored(recipe) -> None:
    runs = options_of_runs(settings(recipe))
    assert [run["data_dir"] for run in runs["score"][:2]] == ["data/clean", "data/noisy"]
    assert runs["score"][0]["tags"] == ["test=clean"]
    assert runs["score"][-1]["tags"] == []
    assert [run["test_dir"] for run in runs["baseline"]] == ["data/clean", "data/noisy"]
    assert runs["baseline"][0]["task"] == "classification"
    assert "lr" not in runs["baseline"][0]


def test_neighbours_take_the_configuration_of_the_clips(recipe) -> None:
    text = "runs:\n  - {task: t, train: a, valid: b, test: [c, d], config: finetune.yaml, systems: [knn]}\n"
    (recipe / "runs.yaml").write_text(text)
    (recipe / "finetune.yaml").write_text("lr: 1.0e-3\ntask: tagging\npooling: cls\ncrop_frames: 64\n")
    runs = options_of_runs(settings(recipe))
    assert runs["finetune"] == []
    assert [run["test_dir"] for run in runs["knn"]] == ["data/c", "data/d"]
    made = from_dict(KnnSettings, runs["knn"][0])
    assert (made.task.name, made.embedder.pooling, made.embedder.crop_frames) == ("tagging", "cls", 64)
    assert (made.valid_dir, made.model) == ("data/b", "exp/pretrain_0/backbone.safetensors")
    assert made.tags == ("task=t", "labels=all", "seed=0", "test=c")


def test_trials_are_verified_in_place_of_scoring(recipe) -> None:
    run = "task: v, train: a, valid: b, test: c, config: finetune.yaml, systems: [pretrained, scratch]"
    (recipe / "runs.yaml").write_text(f"runs:\n  - {{{run}, trials: [one.txt, two.txt]}}\n")
    runs = options_of_runs(settings(recipe))
    assert (len(runs["finetune"]), runs["score"], runs["baseline"]) == (2, [], [])
    found = [from_dict(VerifySettings, options) for options in runs["verify"]]
    assert [made.trials for made in found] == ["data/one.txt", "data/two.txt"] * 2
    assert {made.data_dir for made in found} == {"data/c"}
    assert found[1].out_dir == "exp/v_all_pretrained_0/two"
    assert found[1].tags == ("task=v (two)",)
    assert found[0].model == "exp/v_all_pretrained_0/model.safetensors"


def test_folds(recipe) -> None:
    text = 'folds: [1, 2]\nruns:\n  - {task: t, train: "train{fold}", test: "test{fold}", config: finetune.yaml}\n'
    (recipe / "runs.yaml").write_text(text)
    runs = options_of_runs(settings(recipe, pool="train{fold}", seeds=2))
    assert [run["out_dir"] for run in runs["pretrain"]] == [
        "exp/pretrain_0_fold1",
        "exp/pretrain_0_fold2",
        "exp/pretrain_1_fold1",
        "exp/pretrain_1_fold2",
    ]
    assert len({run["out_dir"] for run in runs["finetune"]}) == 8
    assert all(run["tags"][-2].startswith("fold=") for run in runs["finetune"])
    for run, score in zip(runs["finetune"], runs["score"], strict=True):
        assert run["train_dir"][-1] == score["data_dir"][-1] == run["init"].split("/")[1][-1]
    shared = options_of_runs(settings(recipe, pool="pool", seeds=2))
    assert [run["seed"] for run in shared["pretrain"]] == [0, 1]


def test_pretrainings_side_by_side(recipe) -> None:
    text = "  words only: {loss_weights: [0.5, 0, 1], fill: [zeros, time]}\n"
    run = "{task: t, train: a, valid: b, test: c, config: finetune.yaml, systems: [pretrained, scratch, knn, baseline]}"
    (recipe / "runs.yaml").write_text(f"pretrainings:\n  full: {{}}\n{text}runs:\n  - {run}\n")
    jobs = options_of_runs(settings(recipe, seeds=2))
    assert [job["out_dir"] for job in jobs["pretrain"][:2]] == ["exp/pretrain_full_0", "exp/pretrain_words_only_0"]
    assert jobs["pretrain"][1]["loss_weights"] == [0.5, 0, 1]
    assert "--fill zeros time" in line("asit-pretrain", jobs["pretrain"][1])
    tuned = {job["out_dir"]: job for job in jobs["finetune"] if job["seed"] == 0}
    assert list(tuned) == ["exp/t_all_pretrained_full_0", "exp/t_all_scratch_0", "exp/t_all_pretrained_words_only_0"]
    assert tuned["exp/t_all_pretrained_words_only_0"]["init"] == "exp/pretrain_words_only_0/backbone.safetensors"
    assert "pretraining=words only" in tuned["exp/t_all_pretrained_words_only_0"]["tags"]
    assert "pretraining=none" in tuned["exp/t_all_scratch_0"]["tags"]
    assert {job["model"].split("/")[1] for job in jobs["knn"]} == {
        f"pretrain_{name}_{seed}" for name in ("full", "words_only") for seed in (0, 1)
    }
    assert len(jobs["baseline"]) == 2, "one a seed, whatever is compared"
    with pytest.raises(AsitError, match=r"'pretrainings' to compare, and --init"):
        options_of_runs(settings(recipe, init="there/backbone.safetensors"))


def test_pretrainings_of_a_pool_of_their_own(recipe) -> None:
    compared = "shared: {steps: 9, warmup: 2}\npretrainings: {all: {}, tenth: {pool: 'part_{fold}', steps: 3}}\n"
    (recipe / "runs.yaml").write_text(f"folds: [1, 2]\n{compared}{RUNS}")
    jobs = options_of_runs(settings(recipe))
    found = [(job["out_dir"], job["data_dir"], job["steps"], job["warmup"]) for job in jobs["pretrain"]]
    assert found == [
        ("exp/pretrain_all_0", "data/pool", 9, 2),
        ("exp/pretrain_tenth_0_fold1", "data/part_1", 3, 2),
        ("exp/pretrain_tenth_0_fold2", "data/part_2", 3, 2),
    ]
    assert not any("pool" in job for job in jobs["pretrain"])
    starts = {job["init"] for job in jobs["finetune"] if "tenth" in job["out_dir"] and "fold2" in job["out_dir"]}
    assert {Path(start).parent.name for start in starts} == {"pretrain_tenth_0_fold2"}
    assert sets(read_plan(str(recipe / "runs.yaml")), "pool", "pool") == ["pool", "part_1", "part_2"]


def test_options_that_pretrainings_share(recipe) -> None:
    (recipe / "runs.yaml").write_text(f"shared: {{steps: 9}}\n{RUNS}")
    assert {job["steps"] for job in options_of_runs(settings(recipe))["pretrain"]} == {9}, "also of the only one"
    for wrong, message in {"[steps]": "expected options of asit-pretrain", "{seed: 3}": "the plan sets 'seed'"}.items():
        (recipe / "runs.yaml").write_text(f"shared: {wrong}\n{RUNS}")
        with pytest.raises(AsitError, match=f"runs.yaml:1: {message}"):
            read_plan(str(recipe / "runs.yaml"))


def test_more_than_one_way_of_decoding(recipe) -> None:
    run = "{task: t, train: 'a_{draw}', test: [c, d], config: finetune.yaml, systems: [scratch], decodings: %s}"
    words = "{language model: {beam: 10, lm: '{train}/lm.arpa'}}"
    (recipe / "runs.yaml").write_text(f"runs:\n  - {run % words}\n")
    jobs = options_of_runs(settings(recipe))["score"]
    assert [Path(job["out_dir"]).name for job in jobs] == ["c", "c_language_model", "d", "d_language_model"]
    assert jobs[1]["tags"] == ["test=c", "task=t, language model"]
    assert (jobs[1]["lm"], jobs[1]["beam"], "lm" in jobs[0]) == ("data/a_0/lm.arpa", "10", False)
    for wrong, message in {
        "[a]": "expected names with options",
        "{a: 3}": "expected names with options",
        "{a: {out_dir: x}}": "decodings: a: unknown option 'out_dir'",
        "{a: {lm: x}}": "decodings: a: a language model needs prefixes",
        "{a b: {beam: 2}, a_b: {beam: 3}}": "two scores would share a folder, 'c_a_b'",
        "{a: {}}, trials: [t]": "trials are compared, not decoded",
    }.items():
        (recipe / "runs.yaml").write_text(f"runs:\n  - {run % wrong}\n".replace("[c, d]", "c"))
        with pytest.raises(AsitError, match=f"run 1: .*{message}"):
            read_plan(str(recipe / "runs.yaml"))


@pytest.mark.parametrize("text", ["[full]", "{full: 3}", "{none: {}}", "{a b: {}, a_b: {}}", "{}"])
def test_pretrainings_without_names_of_their_own(recipe, text) -> None:
    (recipe / "runs.yaml").write_text(f"pretrainings: {text}\n{RUNS}")
    with pytest.raises(AsitError, match=r"runs.yaml:1: expected (names with options|one name or more)"):
        read_plan(str(recipe / "runs.yaml"))


@pytest.mark.parametrize("name", ["seed", "out-dir", "data_dir", "config"])
def test_a_pretraining_does_not_set_what_the_plan_sets(recipe, name) -> None:
    (recipe / "runs.yaml").write_text(f"pretrainings: {{a: {{}}, b: {{{name}: 1}}}}\n{RUNS}")
    with pytest.raises(AsitError, match=f"runs.yaml:1: the plan sets '{name.replace('-', '_')}' of every pretraining"):
        read_plan(str(recipe / "runs.yaml"))


def test_a_given_backbone_is_not_pretrained_again(recipe) -> None:
    runs = options_of_runs(settings(recipe, init="there/backbone.safetensors", seeds=2))
    assert runs["pretrain"] == []
    assert {run["init"] for run in runs["finetune"]} == {"there/backbone.safetensors"}


def test_list_and_first(recipe) -> None:
    plan = read_plan(str(recipe / "runs.yaml"))
    assert sets(plan, "p{fold}", "pool") == ["p"]
    assert "pool" not in sets(plan, "pool", "labelled")
    assert sets(plan, "pool") == ["pool", "few_0", "dev", "clean", "noisy", "train", "test", "few_1"]
    text = RUNS + "  - {task: words, labels: few, train: few, test: test, config: finetune.yaml}\n"
    (recipe / "runs.yaml").write_text(text)
    first = options_of_runs(settings(recipe, first_only=True))["finetune"]
    assert {run["train_dir"] for run in first} == {"data/few_0", "data/train"}


def test_lines_of_an_earlier_plan_go(recipe) -> None:
    assert write(settings(recipe, seeds=2)) == {
        "pretrain": 2,
        "finetune": 8,
        "score": 12,
        "baseline": 4,
        "knn": 0,
        "verify": 0,
    }
    assert write(settings(recipe))["finetune"] == 4
    assert sorted(path.stem for path in (recipe / "plan").iterdir()) == sorted(COMMANDS)
    assert (recipe / "plan/knn.txt").read_text() == ""
    assert (recipe / "plan/finetune.txt").read_text().count("\n") == 4


def test_a_line_is_the_whole_command(recipe) -> None:
    """Its words, as a shell splits them, are accepted by the command and say all that the run is."""
    write(settings(recipe, data="my data"))
    line = (recipe / "plan/finetune.txt").read_text().splitlines()[1]
    command, *words = shlex.split(line)
    assert (command, COMMANDS["finetune"]) == ("asit-finetune", "asit-finetune")
    made = parse(FinetuneSettings, words)
    assert (made.train_dir, made.valid_dir, made.from_scratch) == ("my data/few_0", "my data/dev", True)
    assert (made.train.lr, made.train.steps, made.train.seed) == ((1e-3,), 7, 0), "of the configuration, in 'my conf'"
    assert made.tags == ("task=speakers", "labels=10%", "seed=0", "system=from scratch")
    assert out_dirs(recipe / "plan/finetune.txt")[1] == Path(made.out_dir)
    first = (recipe / "plan/pretrain.txt").read_text()
    conf = shlex.quote(str(recipe / "pretrain.yaml"))
    assert first == f"asit-pretrain --config {conf} --data-dir 'my data/pool' --out-dir exp/pretrain_0 --seed 0\n"


def test_a_line_is_one_job(recipe) -> None:
    with pytest.raises(AsitError, match="no name in it can hold a line break"):
        write(settings(recipe, data="my\ndata"))


def test_a_pretraining_configuration_has_to_be_there(recipe) -> None:
    (recipe / "pretrain.yaml").unlink()
    with pytest.raises(AsitError, match=r"pretrain.yaml: no such file"):
        write(settings(recipe))
    assert write(settings(recipe, init="b.safetensors"))["pretrain"] == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("test: test", "tset: test"), r"runs.yaml:\d: run 2: unknown name 'tset'.*test"),
        (("train: train, ", ""), r"runs.yaml:\d: run 2: 'train' is missing"),
        (("probe", "prob"), r"unknown system 'prob'.*probe"),
        (("probe]", "knn]"), r"run 2: system 'knn' needs 'valid'"),
        (("probe]", "probe], trials: list.txt"), r"run 2: system 'probe' with trials: expected .* pretrained, scratch"),
        (("noisy], ", "noisy], systems: [scratch], trials: l.txt, "), r"run 1: expected one test set.* found 2"),
        (("draws: 2", "draws: none"), r"runs.yaml:2: expected 'draws'"),
        (("draws: 2", "draw: 2"), r"runs.yaml:2: unknown name 'draw'"),
        (("finetune.yaml}", "other.yaml}"), r"other.yaml: no such file"),
        (("runs:", "runs: 3\nfolds:"), r"expected 'runs' to be a list"),
    ],
)
def test_what_is_refused(recipe, change, expected) -> None:
    (recipe / "runs.yaml").write_text(RUNS.replace(*change))
    with pytest.raises(AsitError, match=expected):
        read_plan(str(recipe / "runs.yaml"))


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (
            "{task: words, train: a, test: b, config: finetune.yaml}",
            "run 3: its folder words_all_.* are those of run 2",
        ),
        ("{task: words, train: a, test: b, config: other.yaml}", "run 3: its folder words_all_.* are those of run 2"),
        (
            "{task: speakers, labels: 10pct, train: a, test: b, config: other.yaml}",
            "speakers_10pct.* are those of run 1",
        ),
        ("{task: w, train: a, test: [b, b], config: other.yaml}", "run 3: 'test': two of the name 'b'"),
        (
            "{task: w, train: a, test: b, config: other.yaml, systems: [scratch], trials: [x/l.txt, y/l.tsv]}",
            "run 3: 'trials': two of the name 'l'",
        ),
    ],
)
def test_no_two_runs_share_a_folder(recipe, run, expected) -> None:
    (recipe / "other.yaml").write_text("steps: 8\n")
    (recipe / "runs.yaml").write_text(f"{RUNS}  - {run}\n")
    with pytest.raises(AsitError, match=expected):
        read_plan(str(recipe / "runs.yaml"))


def test_run_folders_are_put_aside_each_time(recipe, tmp_path) -> None:
    exp = tmp_path / ("long and with blanks " * 6) / "exp"
    write(settings(recipe, exp=str(exp)))
    jobs = recipe / "plan/finetune.txt"
    assert put_aside(jobs) == []
    for content in ("first", "second"):
        (exp / "words_all_probe_0/test").mkdir(parents=True)
        (exp / "words_all_probe_0/test/metrics.json").write_text(content)
        (exp / "words_all_probe_9").mkdir(exist_ok=True)
        assert [Path(before).name for before, _ in put_aside(jobs)] == ["words_all_probe_0"]
    kept = [(exp / f"words_all_probe_0.old-{n}/test/metrics.json").read_text() for n in (1, 2)]
    assert kept == ["first", "second"]
    assert (exp / "words_all_probe_9").is_dir(), "not of this plan"
    for wrong in ("asit-finetune --steps 3", "asit-finetune --out-dir", "asit-finetune --out-dir 'a"):
        with jobs.open("a") as stream:
            stream.write(f"{wrong}\n")
        with pytest.raises(AsitError, match=r"finetune\.txt:5: expected a command line with --out-dir, .* found"):
            put_aside(jobs)
        jobs.write_text("".join(jobs.read_text().splitlines(keepends=True)[:4]))
    with pytest.raises(AsitError, match="no such list of jobs; asit-plan-runs writes it"):
        put_aside(recipe / "none.txt")
