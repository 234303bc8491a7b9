"""The mini recipe, every stage, on the embedded recordings: ``egs/mini/run.sh --quick true``."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from headless import browser

MINI = Path(__file__).parents[2] / "egs" / "mini"
EXP = MINI / "exp_quick"
STAGES = ("data", "features", "stats", "pretrain", "finetune", "score", "report")
pytestmark = pytest.mark.slow


def run(*options: str) -> str:
    """Output of run.sh --quick true with further options; fails when it fails."""
    command = [str(MINI / "run.sh"), "--quick", "true", *options]
    done = subprocess.run(command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def recipe() -> str:
    """The output of a run from nothing, started from another directory."""
    shutil.rmtree(EXP, ignore_errors=True)
    return run()


def test_every_stage_runs(recipe: str) -> None:
    for number, name in enumerate(STAGES):
        assert f"Stage {number} ({name})" in recipe
    assert "Successfully finished" in recipe


def test_a_second_run_does_nothing(recipe: str) -> None:
    before = (EXP / "RESULTS.md").stat().st_mtime_ns
    again = run()
    assert again.count("is finished and unchanged") == len(STAGES)
    assert (EXP / "RESULTS.md").stat().st_mtime_ns == before


def test_the_table_shows_what_was_scored(recipe: str) -> None:
    """Every cell equals the metrics.json behind it, which equals a count over the predictions."""
    table = (EXP / "RESULTS.md").read_text(encoding="utf-8")
    scored = sorted(EXP.glob("*/*_test/metrics.json"))
    assert len(scored) == 3  # pretrained, from scratch, baseline
    for path in scored:
        record = json.loads(path.read_text(encoding="utf-8"))
        predictions = [line.split() for line in (path.parent / "predictions").read_text().splitlines()]
        assert len(predictions) == record["clips"] == record["expected"]
        accuracy = sum(ref == hyp for _, ref, hyp, _ in predictions) / len(predictions)
        assert accuracy == pytest.approx(record["metrics"]["accuracy"])
        row = next(
            line for line in table.splitlines() if record["tags"]["system"] in line and f"{100 * accuracy:.1f}" in line
        )
        assert row
    for word in ("chance", "majority", "logistic regression", "git revision", "CPU", "pretrain"):
        assert word in table


def test_what_a_person_can_look_at(recipe: str) -> None:
    pretraining, tuned = EXP / "pretrain_0", EXP / "speakers_few_pretrained_0"
    for path in (
        pretraining / "train.log",
        pretraining / "config.yaml",
        pretraining / "metrics.jsonl",
        pretraining / "backbone.safetensors",
        tuned / "model.safetensors",
        tuned / "spk_test" / "confusion.png",
        EXP / "data" / "pool" / "stats.yaml",
        EXP / "log" / "finetune.1.log",
    ):
        assert path.stat().st_size > 0, path
    assert list((pretraining / "images").glob("*.png")), "reconstruction pictures"
    assert list((pretraining / "tensorboard").iterdir())


def test_the_report_is_one_page_that_needs_no_network(recipe: str) -> None:
    """What is scored, trained and heard is on it; scripts, and files from elsewhere, are not."""
    page = (EXP / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)|<script|url\(""", page)
    for place in ("results", "training", "reconstructions", "wrong", "runs", "environment", "commands"):
        assert f'<section id="{place}">' in page
    wrong = [line.split() for path in EXP.glob("*/*_test/predictions") for line in path.read_text().splitlines()]
    missed = {utt for utt, reference, hypothesis, _ in wrong if reference != hypothesis}
    players = re.findall(r'<tr><td>([^<]+)</td>\n<td><audio controls [^>]*src="data:audio/flac;base64,([^"]+)"', page)
    assert players
    assert {utt for utt, _ in players} <= missed
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(players[0][1])))
    assert len(samples) > rate / 10
    assert "asit-pretrain --config" in page
    assert "teacher" in page


def test_a_browser_shows_the_report(recipe: str, tmp_path: Path) -> None:
    """Pictures are drawn, a recording plays, and nothing is asked of a network or complained of."""
    with browser() as chromium:
        page = chromium.new_page()
        asked, told = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: told.append(message.text))
        page.goto((EXP / "report.html").as_uri())
        assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
        sizes = page.evaluate("Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))")
        assert len(sizes) >= 3
        assert min(sizes) > 100
        seconds = page.evaluate(
            "new Promise((ok, no) => { const a = document.querySelector('audio'); a.onerror = () => no(a.error);"
            " a.onloadedmetadata = () => ok(a.duration); a.load(); })"
        )
        assert 0 < seconds <= 10
        page.screenshot(path=str(tmp_path / "report.png"), full_page=True)
        assert told == []
    assert (tmp_path / "report.png").stat().st_size > 20_000


def test_a_model_answers_for_one_file(recipe: str) -> None:
    """The model file alone carries front end, mean and deviation and the names of the classes."""
    model = EXP / "speakers_few_pretrained_0" / "model.safetensors"
    clip = next((MINI / "corpus" / "june_fr").rglob("*.flac"))
    command = ["asit-predict", "--model", str(model), "--wav", str(clip), "--top-k", "2"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = {line.split("\t")[2] for line in done.stdout.splitlines() if line.startswith(str(clip))}
    assert len(names) == 2
    assert names <= {"allison", "carlo", "ivrvoice", "june", "menardi"}
