#!/usr/bin/env python3
"""One YAML file of options for every run: <out>/{pretrain,finetune,score,baseline}.<N>.yaml, N from 1.

Each seed has its own pretraining, its own draw of the small label sets and its own order of the training clips; the
pretrained and the from-scratch run of a pair differ in --from-scratch alone. Prints how many files of each kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from asit.config import option, parse, read_yaml
from asit.errors import command
from asit.io.atomic import write_text

DRAWS = 3  # of the small label sets, in corpus/splits
# task, labels, training set, set that selects the weights, set that is scored once, configuration
RUNS = [
    ("speakers", "few", "spk_train_few_{draw}", "spk_valid", "spk_test", "speaker"),
    ("speakers", "10%", "spk_train_10pct_{draw}", "spk_valid", "spk_test", "speaker"),
    ("speakers", "all", "spk_train", "spk_valid", "spk_test", "speaker"),
    ("keywords", "all", "kws_train", "kws_valid", "kws_test", "keyword"),
]


@dataclass(frozen=True)
class PlanSettings:
    """Write the options of all pretraining, fine-tuning, scoring and baseline runs."""

    seeds: int = option(1, "number of seeds, 0 to seeds - 1")
    data: str = option("data", "folder of the data directories")
    exp: str = option("exp", "folder of the experiments")
    pretrain_config: str = option("conf/pretrain.yaml", "options that all pretraining runs share")
    finetune_conf: str = option("conf", "folder of finetune_speaker.yaml and finetune_keyword.yaml")
    out: str = option("exp/runs", "folder of the files written")
    quick: bool = option(False, "only the first label set of each task")


def plan(settings: PlanSettings) -> dict[str, list[dict[str, Any]]]:
    """Options of every run by kind."""
    runs: dict[str, list[dict[str, Any]]] = {"pretrain": [], "finetune": [], "score": [], "baseline": []}
    for seed in range(settings.seeds):
        own = {"data_dir": f"{settings.data}/pool", "out_dir": f"{settings.exp}/pretrain_{seed}", "seed": seed}
        runs["pretrain"].append({**read(settings.pretrain_config), **own})
        for task, labels, *sets, conf in runs_of_a_seed(settings.quick):
            name = f"{task}_{labels.replace('%', 'pct')}"
            train, valid, test = (f"{settings.data}/{d.format(draw=seed % DRAWS)}" for d in sets)
            tags = [f"task={task}", f"labels={labels}", f"seed={seed}"]
            for scratch in (False, True):
                out = f"{settings.exp}/{name}_{'scratch' if scratch else 'pretrained'}_{seed}"
                base = read(f"{settings.finetune_conf}/finetune_{conf}.yaml")
                own = {"train_dir": train, "valid_dir": valid, "out_dir": out, "seed": seed, "tags": tags}
                init = f"{settings.exp}/pretrain_{seed}/backbone.safetensors"
                runs["finetune"].append({**base, **own, "init": init, "from_scratch": scratch})
                runs["score"].append({"model": f"{out}/model.safetensors", "data_dir": test, "out_dir": f"{out}/test"})
            own = {"train_dir": train, "valid_dir": valid, "test_dir": test, "tags": tags}
            runs["baseline"].append({**own, "out_dir": f"{settings.exp}/{name}_baseline_{seed}"})
    return runs


def runs_of_a_seed(quick: bool) -> list[tuple[str, ...]]:
    """RUNS, or the first of each task."""
    return list({run[0]: run for run in reversed(RUNS)}.values()) if quick else RUNS


def read(path: str) -> dict[str, Any]:
    """The options in a configuration file."""
    return {name: value for name, (value, _) in read_yaml(path).items()}


@command
def main() -> None:
    """Entry point."""
    settings = parse(PlanSettings)
    runs = plan(settings)
    for kind, options in runs.items():
        for number, values in enumerate(options, 1):
            write_text(f"{settings.out}/{kind}.{number}.yaml", yaml.safe_dump(values, sort_keys=False))
    print(*(len(options) for options in runs.values()))


if __name__ == "__main__":
    raise SystemExit(main())
