"""Experiments side by side, with the options in which their runs differ."""

from __future__ import annotations

import os
import re

import pytest
import yaml

from asit.bin import report
from asit.errors import AsitError
from asit.metrics.metric import Metric
from asit.recipes import job_list, record
from asit.recipes.compare import comparison
from asit.recipes.record import Record
from asit.recipes.results import Settings

SYSTEMS = ("pretrained", "from scratch")
ACCURACY = (Metric("accuracy", "%", "higher"),)


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def experiment(place: str, values, plan=True, **options) -> None:
    """Two systems, a seed for each value; options of fine-tuning as given."""
    lists = {"pretrain": [], "finetune": [], "score": [], "baseline": [], "knn": [], "verify": []}
    for seed, value in enumerate(values):
        for system in SYSTEMS:
            out = f"{place}/t_all_{system.replace(' ', '_')}_{seed}"
            tags = {"task": "t", "system": system, "labels": "all", "seed": str(seed)}
            share = value if system == "pretrained" else value / 2
            record.save(f"{out}/test/metrics.json", Record(tags, "accuracy", {"accuracy": share}, ACCURACY, 10, 10))
            config = {"init": f"{place}/pretrain_{seed}/backbone.safetensors", "out_dir": out, "seed": seed}
            write(out, {**config, "tags": [f"{k}={v}" for k, v in tags.items()], "lr": 1e-3, **options})
            lists["finetune"].append({"out_dir": out})
            lists["score"].append({"out_dir": f"{out}/test"})
        write(f"{place}/pretrain_{seed}", {"data_dir": "data/pool", "out_dir": f"{place}/pretrain_{seed}", "lr": 1e-3})
        lists["pretrain"].append({"out_dir": f"{place}/pretrain_{seed}"})
    for kind, jobs in lists.items() if plan else ():
        job_list.write(f"{place}/plan/{kind}.txt", [job_list.line("asit-x", job) for job in jobs])


def write(folder: str, options: dict) -> None:
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/config.yaml", "w", encoding="utf-8") as stream:
        yaml.safe_dump(options, stream, sort_keys=False)


def rows(text: str) -> dict[str, list[str]]:
    """Cells of the tables' lines by the first."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "]
    return {line[0]: line[1:] for line in lines}


@pytest.mark.parametrize("plan", [True, False])
def test_scores_and_options_side_by_side(recipe, plan) -> None:
    """An experiment inside another's folder belongs to itself alone; seeds are means, paths of runs no difference."""
    experiment("exp", [0.5, 0.7], plan)
    experiment("exp/fast", [0.9], plan, lr=5e-3, mixup=0.5, freeze=True)
    found = rows(comparison(Settings(exp_dirs=("exp", "exp/fast"))))
    assert found["pretrained"] == ["all", "60.0 ± 14.1 (2)", "90.0 (1)"]
    assert found["from scratch"] == ["all", "30.0 ± 7.1 (2)", "45.0 (1)"]
    runs = "t_all_pretrained, t_all_from_scratch" if plan else "t_all_from_scratch, t_all_pretrained"
    assert found["`lr`"] == ["0.001", "0.005", runs]
    assert (found["`mixup`"][:2], found["`freeze`"][:2]) == (["–", "0.5"], ["–", "true"])
    assert {name for name in found if name[0] == "`"} == {"`lr`", "`mixup`", "`freeze`"}


def test_what_is_of_an_earlier_plan_is_not_compared(recipe) -> None:
    experiment("a", [0.5, 0.7])
    experiment("a", [0.5])
    experiment("b", [0.6])
    text = comparison(Settings(exp_dirs=("a", "b")))
    assert rows(text)["pretrained"] == ["all", "50.0 (1)", "60.0 (1)"]
    assert "None: what differs is not an option" in text


def test_what_cannot_be_compared(recipe) -> None:
    experiment("a", [0.5])
    (recipe / "b").mkdir()
    with pytest.raises(AsitError, match=r"^b: expected metrics.json files below it, found none"):
        comparison(Settings(exp_dirs=("a", "b")))
    record.save(
        "b/x/metrics.json",
        Record({"task": "t", "system": "s"}, "eer", {"eer": 0.1}, (Metric("eer", "%", "lower"),), 10, 10),
    )
    with pytest.raises(
        AsitError,
        match=r"'t' has different primary metrics in the experiments: accuracy in %, higher.*; eer in %, lower",
    ):
        comparison(Settings(exp_dirs=("a", "b")))
    os.remove("a/t_all_pretrained_0/test/metrics.json")
    with pytest.raises(AsitError, match=r"a/t_all_pretrained_0/test/metrics.json: no such file.* --stage score"):
        comparison(Settings(exp_dirs=("a", "b")))


def test_the_command_prints_or_writes(recipe, monkeypatch, capsys) -> None:
    experiment("a", [0.5])
    experiment("b", [0.6], lr=1.0)

    def call(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["asit-report", *words])
        report.main()
        return capsys.readouterr().out

    shown = call("--exp-dirs", "a", "b", "--title", "Rates")
    assert shown.startswith("# Rates\n")
    assert re.search(r"`lr` \| 0.001 \| 1.0 \|", shown)
    assert call("--exp-dirs", "a", "b", "--title", "Rates", "--out", "c.md") == "c.md: results of a, b\n"
    assert (recipe / "c.md").read_text() == shown
    monkeypatch.setattr("sys.argv", ["asit-report", "--exp-dirs", "a", "b", "--plan", "a/plan"])
    assert report.main() == 1
    assert "give one of them" in capsys.readouterr().err
    os.remove("a/t_all_pretrained_0/test/metrics.json")
    monkeypatch.setattr("sys.argv", ["asit-report", "--exp-dirs", "a", "b", "--out", "c.md"])
    assert report.main() == 1
    assert (recipe / "c.md").read_text() == shown, "a report that fails leaves the old one"
