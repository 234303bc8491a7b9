from __future__ import annotations

import dataclasses
import json
import statistics

import pytest

from asit.errors import AsitError
from asit.metrics.metric import Metric
from asit.recipes import job_list, record
from asit.recipes.provenance import provenance
from asit.recipes.record import Record
from asit.recipes.results import Settings, half_width, results

DECLARED = tuple(Metric(name, "%", "higher") for name in ("accuracy", "balanced_accuracy"))
EER = Metric("eer", "%", "lower")


def make(path, value, trivial=None, clips=200, train_clips=49, **tags):
    metrics = {"accuracy": value, "balanced_accuracy": value / 2}
    run = Record(tags, "accuracy", metrics, DECLARED, clips, clips, train_clips, 1.0, trivial or {}, provenance())
    record.save(path / "_".join(tags.values()) / "metrics.json", run)
    return run


def lay_out(tmp_path, **options):
    return results(Settings(exp_dirs=(str(tmp_path),), **options))


def cells(text, row):
    line = next(line for line in text.splitlines() if line.startswith(f"| {row} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_numbers_equal_the_inputs(tmp_path):
    values = {"pretrained": [0.931, 0.942, 0.9], "scratch": [0.8, 0.75, 0.88]}
    for system, row in values.items():
        for seed, value in enumerate(row):
            make(tmp_path, value, task="speakers", system=system, labels="2%", seed=str(seed))
    text = lay_out(tmp_path)
    for system, row in values.items():
        mean, deviation = 100 * statistics.mean(row), 100 * statistics.stdev(row)
        assert cells(text, system) == [f"{mean:.1f} ± {deviation:.1f} (3)"]


def test_columns_follow_the_amount_of_labels_and_gaps_are_shown(tmp_path):
    make(tmp_path, 0.5, task="t", system="a", labels="few", train_clips=10)
    make(tmp_path, 0.9, task="t", system="a", labels="all", train_clips=1000)
    make(tmp_path, 0.7, task="t", system="b", labels="all", train_clips=1000)
    text = lay_out(tmp_path)
    assert "| system | labels all (1000 clips) | labels few (10 clips) |" in text
    assert cells(text, "a") == ["90.0 (1)", "50.0 (1)"]
    assert cells(text, "b") == ["70.0 (1)", "–"]


def test_of_error_rates_the_lowest_comes_first(tmp_path):
    for system, value in (("worse", 0.2), ("better", 0.05)):
        run = Record({"task": "v", "system": system}, "eer", {"eer": value}, (EER,), 30, 30, trivial={"chance": 0.5})
        record.save(tmp_path / system / "metrics.json", run)
    rows = (
        "[{system: X, value: 8.8, source: a}, {system: Y, value: 7.8, source: b}, {system: Z, value: null, source: c}]"
    )
    (tmp_path / "p.yaml").write_text(
        f"tables:\n  - {{task: v, metric: eer, better: lower, system: better, rows: {rows}}}\n"
    )
    text = lay_out(tmp_path, published=str(tmp_path / "p.yaml"))
    places = [
        text.index(f"| {name} ") for name in ("better", "worse", "chance", "**this recipe**, better", "Y", "X", "Z")
    ]
    assert places == sorted(places)
    assert "on 30 trials" in text


def test_chance_and_majority_come_from_the_baseline(tmp_path):
    guess = {"chance": 0.125, "majority": 0.3}
    make(tmp_path, 0.4, trivial=guess, task="t", system="statistics", labels="all")
    make(tmp_path, 0.9, task="t", system="a", labels="all", seed="0")
    text = lay_out(tmp_path)
    assert cells(text, "chance") == ["12.5"]
    assert cells(text, "majority") == ["30.0"]
    assert text.index("| a |") < text.index("| statistics |") < text.index("| chance |")


def test_one_table_a_task_and_other_tags_beside_the_row(tmp_path):
    make(tmp_path, 0.9, task="speakers", system="a", pooling="cls")
    make(tmp_path, 0.8, task="words", system="a")
    text = lay_out(tmp_path)
    assert text.index("## speakers") < text.index("## words")
    assert cells(text, "a, pooling=cls") == ["90.0 (1)"]


def test_uncertainty_machine_and_minutes(tmp_path):
    make(tmp_path, 0.9, clips=100, task="t", system="a")
    done = tmp_path / ".done"
    done.mkdir()
    (done / "stats").write_text("commands 1 2\nfinished 2026-01-01T00:03:00 after 30 s, run 1.2\n")
    (done / "features").write_text("commands 1 2\nfinished 2026-01-01T00:02:00 after 120 s, run 1.2\n")
    text = lay_out(tmp_path, done_dir=str(done), run_command="./run.sh --seeds 3")
    assert f"± {100 * half_width(0.9, 100):.1f}" in text
    assert "on 100 test clips" in text
    assert "| features | 2.0 |\n| stats | 0.5 |" in text
    assert "| all | 2.5 |" in text
    assert "- command: `./run.sh --seeds 3`" in text
    assert f"- torch: {provenance()['torch']}" in text


def test_errors_name_the_file(tmp_path):
    with pytest.raises(AsitError, match="found none; run the scoring stage"):
        lay_out(tmp_path)
    make(tmp_path, 0.9, task="t")
    with pytest.raises(AsitError, match=r"metrics\.json: tag 'system' is missing"):
        lay_out(tmp_path)


def test_two_runs_with_equal_tags_are_refused(tmp_path):
    make(tmp_path / "x", 0.9, task="t", system="a")
    make(tmp_path / "y", 0.8, task="t", system="a")
    with pytest.raises(AsitError, match="same tags as"):
        lay_out(tmp_path)


def test_only_runs_of_the_plan_are_shown(tmp_path):
    """More seeds, a task that is gone and folders put aside stay below exp; none is a result of the present plan."""
    for name in ("t_a_0", "t_a_1", "gone_a_0", "t_a_0.old-1"):
        task, system, seed = name.split("_")
        make(tmp_path / "exp" / name, 0.5 + 0.1 * (name == "t_a_0"), task=task, system=system, seed=seed)
    for kind in ("score", "baseline", "knn", "verify"):
        job_list.write(tmp_path / "plan" / f"{kind}.txt", [])
    (planned,) = (tmp_path / "exp/t_a_0").iterdir()
    (tmp_path / "plan/score.txt").write_text(f"asit-evaluate --out-dir {planned} --tags x=1\n")
    text = lay_out(tmp_path, plan=(str(tmp_path / "plan"),))
    assert cells(text, "a") == ["60.0 (1)"]
    assert "gone" not in text
    (tmp_path / "plan/baseline.txt").write_text(f"asit-baseline --out-dir {tmp_path}/exp/t_b_0\n")
    with pytest.raises(
        AsitError, match=r"t_b_0/metrics\.json: no such file.*baseline.txt plans it \(1 of 2.*--stage score"
    ):
        lay_out(tmp_path, plan=(str(tmp_path / "plan"),))


def test_a_broken_file_is_named(tmp_path):
    make(tmp_path, 0.9, task="t", system="a")
    (tmp_path / "t_a" / "metrics.json").write_text("{")
    with pytest.raises(AsitError, match=r"t_a/metrics.json.*not valid JSON"):
        lay_out(tmp_path)


def test_record_survives_writing_and_reading_with_nan(tmp_path):
    run = make(tmp_path, float("nan"), task="t", system="a")
    path = tmp_path / "t_a" / "metrics.json"
    assert json.loads(path.read_text())["metrics"]["accuracy"] is None
    again = record.load(path)
    assert again.value != again.value  # nan
    assert dataclasses.replace(again, metrics={}) == dataclasses.replace(run, metrics={})


@pytest.mark.parametrize(("word", "message"), [("system", "name=value"), ("=x", "name=value"), ("a=", "name=value")])
def test_malformed_tags(word, message):
    with pytest.raises(AsitError, match=message):
        record.parse_tags([word])
    with pytest.raises(AsitError, match="given twice"):
        record.parse_tags(["a=1", "a=2"])


PUBLISHED = """
tables:
  - task: ESC-50
    metric: accuracy
    note: mean over five folds
    rows:
      - {system: SSAST, params: 89M, value: 88.8, source: a paper}
      - {system: ASiT, params: 86M, value: 95.3, source: another paper}
      - {system: silent, value: null, source: a third}
"""


def test_published_numbers_without_a_run(tmp_path):
    (tmp_path / "published.yaml").write_text(PUBLISHED)
    text = lay_out(tmp_path, published=str(tmp_path / "published.yaml"))
    assert cells(text, "**this recipe**, pretrained") == ["", "not run: needs the corpus", ""]
    assert cells(text, "ASiT") == ["86M", "95.3", "another paper"]
    assert text.index("| ASiT") < text.index("| SSAST") < text.index("| silent |  | not given")


def test_published_numbers_beside_runs_over_folds(tmp_path):
    (tmp_path / "published.yaml").write_text(PUBLISHED)
    for fold, value in enumerate([0.9, 0.8]):
        make(tmp_path, value, task="ESC-50", system="pretrained", labels="all", seed="0", fold=str(fold))
        make(tmp_path, value / 2, task="ESC-50", system="from scratch", labels="all", seed="0", fold=str(fold))
    text = lay_out(tmp_path, published=str(tmp_path / "published.yaml"))
    assert cells(text, "pretrained") == ["85.0 ± 7.1 (2)"]
    assert cells(text, "**this recipe**, pretrained")[1] == "85.0 ± 7.1 (2)"
    assert "standard deviation over folds" in text


def test_published_numbers_of_another_metric_are_not_put_beside(tmp_path):
    (tmp_path / "published.yaml").write_text(PUBLISHED.replace("metric: accuracy", "metric: mAP"))
    make(tmp_path, 0.9, task="ESC-50", system="pretrained", labels="all")
    with pytest.raises(
        AsitError, match="published is mAP in %, higher is better; the runs have accuracy in %, higher is better"
    ):
        lay_out(tmp_path, published=str(tmp_path / "published.yaml"))


def test_where_less_is_better_the_least_comes_first(tmp_path):
    text = PUBLISHED.replace("    metric: accuracy\n", "    metric: eer\n    better: lower\n")
    (tmp_path / "published.yaml").write_text(text)
    text = lay_out(tmp_path, published=str(tmp_path / "published.yaml"))
    assert text.index("| SSAST") < text.index("| ASiT") < text.index("| silent")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("metric: accuracy", "metrik: accuracy"), "table 1: unknown name 'metrik'"),
        (("    note", "    better: more\n    note"), "table 1: better: expected higher or lower, found 'more'"),
        (("value: 88.8", "value: high"), "row 1: expected a number"),
        ((", source: a third", ""), "row 3: 'source' is missing"),
        (("tables:", "table:"), "expected one list 'tables'"),
    ],
)
def test_published_numbers_are_checked(tmp_path, change, expected):
    (tmp_path / "published.yaml").write_text(PUBLISHED.replace(*change))
    with pytest.raises(AsitError, match=expected):
        lay_out(tmp_path, published=str(tmp_path / "published.yaml"))


def test_a_further_metric_and_what_the_bootstrap_leaves_uncertain(tmp_path):
    rates = tuple(Metric(name, "%", "lower") for name in ("cer", "wer"))
    for system, cer in (("pretrained", 0.2), ("from scratch", 0.3)):
        tags = {"task": "words", "system": system, "labels": "all", "seed": "0"}
        intervals = {"cer": [cer - 0.02, cer + 0.03], "wer": [0.5, 0.6]}
        run = Record(tags, "cer", {"cer": cer, "wer": 0.55}, rates, 50, 50, 400, intervals=intervals)
        record.save(tmp_path / system / "metrics.json", run)
    text = lay_out(tmp_path, also=("wer",))
    head, _, below = text.partition("\n### wer\n")
    assert "uncertainty (95 %, bootstrap over utterances) of ± 2.5 points on a single value" in head
    assert cells(head, "pretrained") == ["20.0 (1)"]
    assert "of ± 5.0 points" in below
    assert cells(below, "pretrained") == ["55.0 (1)"]
    with pytest.raises(AsitError, match="table 'words': expected the metric 'per', found cer, wer; see --also"):
        lay_out(tmp_path, also=("per",))


def test_intervals_survive_and_wrong_ones_are_named(tmp_path):
    run = make(tmp_path, 0.9, task="t", system="s")
    path = tmp_path / "metrics.json"
    record.save(path, dataclasses.replace(run, intervals={"accuracy": [0.8, 0.95]}))
    assert record.load(path).intervals == {"accuracy": [0.8, 0.95]}
    for wrong in ([0.8], "0.8", [0.8, "0.9"]):
        content = json.loads(path.read_text())
        content["intervals"]["accuracy"] = wrong
        (tmp_path / "wrong.json").write_text(json.dumps(content))
        with pytest.raises(AsitError, match="intervals: 'accuracy': expected two numbers"):
            record.load(tmp_path / "wrong.json")
