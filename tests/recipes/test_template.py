"""egs/TEMPLATE, copied as a newcomer copies it, runs to a table, and docs/pipeline.md's commands show what it left."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = {
    "fbank.yaml": "sample_rate: 8000\nnum_mel_bins: 16\n",
    "pretrain.yaml": (
        "embed_dim: 16\ndepth: 1\nheads: 2\npatch: [4, 0]\nglobal_frames: 16\nshort_clips: skip\n"
        "head_hidden: 16\nhead_bottleneck: 8\nprototypes: 12\nsteps: 4\nwarmup: 1\nbatch_size: 4\n"
        "threads: 1\nnum_workers: 0\ntensorboard: false\n"
    ),
    "finetune.yaml": "steps: 4\nwarmup: 1\nbatch_size: 4\nthreads: 1\nnum_workers: 0\ntensorboard: false\n",
}
CLIPS = {"train": 6, "valid": 2, "test": 3}


def make_corpus(folder: Path) -> None:
    """Low and high tones in noise: <set>/<label>/<name>.wav, one of them at another rate."""
    random = np.random.default_rng(0)
    for name, count in CLIPS.items():
        for label, frequency in (("low tone", 300.0), ("high", 2000.0)):
            (folder / name / label.replace(" ", "_")).mkdir(parents=True)
            for i in range(count):
                rate = 16000 if i == 0 else 8000
                wave = 0.3 * np.sin(2 * np.pi * frequency * np.arange(rate // 2) / rate)
                wave += 0.05 * random.standard_normal(rate // 2)
                soundfile.write(folder / name / label.replace(" ", "_") / f"take {i}.wav", wave, rate)


def environment() -> dict[str, str]:
    return {**os.environ, "ASIT_ROOT": str(ROOT), "OMP_NUM_THREADS": "1"}


def run(recipe: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=recipe, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    logs = "".join(path.read_text(errors="replace") for path in recipe.glob("exp/log/*.log"))
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}\n{logs}"
    return done.stdout


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the template that has run to its end."""
    recipe = tmp_path_factory.mktemp("my recipes") / "tones"
    shutil.copytree(ROOT / "egs/TEMPLATE", recipe, ignore=shutil.ignore_patterns("data", "exp", "fbank", "downloads"))
    make_corpus(recipe / "downloads/my corpus")
    for name, text in CONFIGS.items():
        (recipe / "conf" / name).write_text(text)
    run(recipe, "./run.sh", "--corpus", "downloads/my corpus", "--nj", "2")
    return recipe


def test_template_runs_from_recordings_to_a_table(recipe: Path) -> None:
    table = (recipe / "exp/RESULTS.md").read_text()
    rows = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines() if line.startswith("| ")]
    assert {"pretrained", "from scratch", "log-mel statistics + logistic regression", "chance"} <= set(rows)
    assert "on 6 test clips" in table
    utts = (recipe / "data/train/wav.scp").read_text().splitlines()
    assert len(utts) == 12
    assert utts[0].split(maxsplit=1) == ["train-high-take_0", "downloads/my corpus/train/high/take 0.wav"]


def test_template_leaves_finished_stages_alone(recipe: Path) -> None:
    output = run(recipe, "./run.sh", "--corpus", "downloads/my corpus", "--nj", "3", "--status")
    lines = output.splitlines()
    assert len(lines) == 7
    assert all(line.endswith(" finished") for line in lines), output


def test_an_experiment_differs_in_what_it_was_given(recipe: Path) -> None:
    """--tag and --finetune-args: data and features stay; asit-report shows scores and options side by side."""
    before = {path: path.stat().st_mtime_ns for path in recipe.glob("exp/*/model.safetensors")}
    words = ("--tag", "fast", "--init", "exp/pretrain_0/backbone.safetensors", "--finetune-args", "--steps 2 --lr 3e-3")
    output = run(recipe, "./run.sh", "--corpus", "downloads/my corpus", "--nj", "2", *words)
    stages = re.findall(r"Stage \d \((\w+)\)(?!.*finished and unchanged)", output)
    assert stages == ["pretrain", "finetune", "score", "report"]
    assert re.search(
        r"^asit-finetune --config conf/finetune.yaml --init exp/pretrain_0/.* --steps 2 --lr 3e-3$", output, re.M
    )
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "--tag 'fast' --finetune-args '--steps 2 --lr 3e-3'" in (recipe / "exp/fast/RESULTS.md").read_text()
    shown = run(recipe, "asit-report", "--exp-dirs", "exp", "exp/fast")
    assert "| system | labels | exp | exp/fast |" in shown
    assert re.search(r"^\| `steps` \| 4 \| 2 \|", shown, re.M)
    assert re.search(r"^\| `lr` \| [^|]+ \| 0.003 \|", shown, re.M)


def test_without_labels_it_ends_with_what_can_be_looked_at(recipe: Path, tmp_path: Path) -> None:
    """Reconstructions and a map of embeddings in place of a table."""
    alone = tmp_path / "alone"
    shutil.copytree(recipe, alone, ignore=shutil.ignore_patterns("exp", "data", "fbank"))
    (alone / "conf/runs.yaml").write_text("runs: []\n")
    run(alone, "./run.sh", "--corpus", "downloads/my corpus", "--labels", "none", "--nj", "2")
    assert sorted(path.name for path in (alone / "data").iterdir()) == ["all", "pool"]
    assert not list((alone / "exp").glob("*/model.safetensors"))
    assert "no run is planned" in (alone / "exp/RESULTS.md").read_text()
    page = (alone / "exp/report.html").read_text()
    assert page.count("data:image/png") == 3  # curves, reconstruction, map
    assert '<section id="map">' in page


def commands_of(document: Path) -> list[str]:
    """The shell commands of a document that stand in its tables or blocks behind a mark ``<!-- run -->``."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- run -->\n```sh\n(.*?)```", text, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


def test_the_pipeline_document_shows_every_artefact(recipe: Path) -> None:
    commands = commands_of(ROOT / "docs/pipeline.md")
    assert len(commands) >= 7
    for command in commands:
        assert run(recipe, "bash", "-euc", command).strip(), f"{command}: no output"
