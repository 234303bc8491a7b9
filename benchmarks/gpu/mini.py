"""Part mini of benchmarks/gpu.sh: egs/mini's pretraining, fine-tuning and scoring, with a CPU's accuracy.

The command lines are those that asit-plan-runs writes for the recipe, run one after another in this process.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import sys
import tempfile
import time
from pathlib import Path

import torch
from part import ROOT, Part, Table, call

MINI = ROOT / "egs/mini"
LEAST = 4.0  # points; the deviation over three seeds may be small by chance
TOY = ["--steps", "2", "--warmup", "1", "--batch-size", "4"]


def expected() -> dict[tuple[str, str, str], tuple[float, float]]:
    """(task, labels, system) -> mean and deviation over seeds in %, as the recipe's table on a CPU has them."""
    values, task, columns = {}, "", []
    for line in (MINI / "RESULTS.md").read_text(encoding="utf-8").splitlines():
        task = line[3:] if line.startswith("## ") else task
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == "system":
            columns = [re.sub(r"^labels (.*) \(.*", r"\1", cell) for cell in cells[1:]]
        for labels, cell in zip(columns, cells[1:], strict=False):
            if found := re.match(r"([\d.]+) ± ([\d.]+) \(", cell):
                values[task, labels, cells[0]] = float(found[1]), float(found[2])
    return values


def features(data: Path, fbank: Path, sets: list[str]) -> None:
    """Stages data, features and stats."""
    sys.argv = ["prepare.py", "--corpus", "corpus", "--data", str(data)]
    sys.path.insert(0, str(MINI / "local"))
    try:
        runpy.run_path("local/prepare.py", run_name="__main__")
    except SystemExit as left:
        if left.code:
            raise RuntimeError(f"local/prepare.py: exit code {left.code}") from None
    whole = ["--data-dir", f"{data}/all", "--out-dir", str(fbank)]
    call("make-fbank", [*whole, "--config", "conf/fbank.yaml", "--name", "raw_fbank_all.1"])
    call("collect-feats", [*whole, "--name", "raw_fbank_all", "--nj", "1"])
    call("select-feats", ["--from-dir", f"{data}/all", "--data-dirs", *(f"{data}/{name}" for name in sets)])
    call("compute-stats", ["--data-dir", f"{data}/pool"])


def accuracies(part: Part, exp: Path, runs: int) -> None:
    """The scores of so many runs against those of RESULTS.md."""
    wanted = expected()
    table = Table("mini", "mini, one seed, accuracy in %", ["task", "labels", "system", "here", "CPU, three seeds"])
    for path in sorted(exp.glob("*/*_test/metrics.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        key = tuple(record["tags"][name] for name in ("task", "labels", "system"))
        found, (mean, deviation) = 100 * record["metrics"]["accuracy"], wanted[key]
        table.rows.append([*key, f"{found:.1f}", f"{mean:.1f} ± {deviation:.1f}"])
        bound = 100 if part.tiny else max(3 * deviation, LEAST)
        part.at_most(f"{', '.join(key)}: points from the CPU's {mean}", abs(found - mean), bound)
    part.tables.append(table)
    part.record("scored runs", len(table.rows) == runs, found=len(table.rows))


def same_scores(part: Part, exp: Path, data: Path) -> None:
    """One model scored on the CPU: the same predictions."""
    test = next(exp.glob("speakers_*_pretrained_0/spk_test"))
    words = ["--model", str(test.parent / "model.safetensors"), "--data-dir", f"{data}/spk_test"]
    call("evaluate", [*words, "--out-dir", f"{exp}/cpu", "--ngpu", "0"])
    pairs = zip(*((folder / "predictions").read_text().splitlines() for folder in (test, exp / "cpu")), strict=True)
    different = sum(a.split()[:3] != b.split()[:3] for a, b in pairs)
    part.at_most("clips that the CPU scores with another class", different, 1)


def main() -> None:
    """Everything from audio to the table; each run that fails is one failed check."""
    with Part("mini", "egs/mini end to end") as part, tempfile.TemporaryDirectory() as home:
        os.chdir(MINI)
        if part.on_gpu:
            torch.zeros(1, device=part.device)
        data, exp, plan = (Path(home) / name for name in ("data", "exp", "plan"))
        words = ["--runs", "conf/runs.yaml", "--pretrain-config", "conf/pretrain.yaml", "--init", "", "--seeds", "1"]
        call("plan-runs", [*words, "--data", str(data), "--exp", str(exp), "--out", str(plan),
                           "--first-only", str(part.tiny).lower()])  # fmt: skip
        lists = {kind: (plan / f"{kind}.txt").read_text().splitlines() for kind in ("pretrain", "finetune", "score")}
        if part.tiny:
            for kind in ("finetune", "score"):
                lists[kind] = [line for line in lists[kind] if "speakers_few_pretrained" in line]
        sets = sorted({path.name for path in (MINI / "corpus/splits").iterdir()})
        features(data, Path(home) / "fbank", [name.removesuffix(".tsv") for name in sets])
        for kind, lines in lists.items():
            more = ["--ngpu", str(int(part.on_gpu))]
            if kind != "score":
                more += ["--tensorboard", "false", "--num-workers", "0", *(TOY if part.tiny else [])]
                more += ["--depth", "1"] if part.tiny and kind == "pretrain" else []
            began = time.monotonic()
            for line in lines:
                name, *options = shlex.split(line)
                with part.going_on(line[:100]):
                    call(name.removeprefix("asit-"), [*options, *more])
            part.fact(f"seconds of {kind}, {len(lines)} runs", round(time.monotonic() - began, 1))
        with part.going_on("accuracies"):
            accuracies(part, exp, len(lists["score"]))
        if part.on_gpu:
            with part.going_on("the same scores"):
                same_scores(part, exp, data)


if __name__ == "__main__":
    main()
