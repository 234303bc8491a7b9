"""The runs of a recipe to the command line of every job.

Seed s has its own pretraining, its own draw of the small label sets and its own order of the clips; the systems of one
run differ in what their name says and in nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asit.config import Options, option, read_yaml
from asit.errors import AsitError
from asit.recipes import job_list
from asit.recipes.runs_file import (
    FINETUNED,
    UNTRAINED,
    WITHOUT,
    Plan,
    Run,
    Turn,
    folder_name,
    read_plan,
    shipped_system,
    turns,
)

LISTS = ("", "all", "labelled", "pool")
SCORED = ("score", "baseline", "knn", "verify")  # kinds that write metrics.json into their out_dir
COMMANDS = {  # kind, which is also the name of its list -> command
    "pretrain": "asit-pretrain",
    "finetune": "asit-finetune",
    "score": "asit-evaluate",
    "baseline": "asit-baseline",
    "knn": "asit-knn",
    "verify": "asit-verify",
}


@dataclass(frozen=True)
class Settings(Options):
    """Write the command lines of a recipe's jobs: pretraining, fine-tuning, scoring, baseline, knn, verification."""

    runs: str = option("conf/runs.yaml", "which runs there are; docs/extending.md has its form")
    pretrain_config: str = option("conf/pretrain.yaml", "options that all pretraining runs share")
    pool: str = option("pool", "data directory to pretrain on, below --data; {fold} is replaced")
    init: str = option("", "backbone.safetensors to start every run from; nothing is pretrained then")
    seeds: int = option(1, "number of seeds, 0 to seeds - 1", least=1)
    data: str = option("data", "folder of the data directories")
    exp: str = option("exp", "folder of the experiments")
    out: str = option(
        "exp/plan", f"folder of the lists, a command line for each job: <out>/{{{','.join(COMMANDS)}}}.txt"
    )
    first_only: bool = option(False, "only the first run of each task, to try a recipe")
    put_aside: str = option("", "write nothing; rename the --out-dir of every line of this list to <out-dir>.old-<n>")
    list: str = option(
        "", "write nothing; print the names of all data directories, the labelled ones, or the pool", LISTS
    )


def options_of_runs(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """Options of every run by kind. What a configuration file says stays there, and ``config`` names the file.

    Raises as :func:`read_plan`.
    """
    plan = read_plan(settings.runs)
    if settings.init and len(plan.pretrainings) > 1:
        raise AsitError(
            f"{settings.runs}: 'pretrainings' to compare, and --init, which pretrains nothing; leave one out"
        )
    if settings.first_only:
        plan = plan._replace(runs=tuple({run.task: run for run in reversed(plan.runs)}.values()), folds=plan.folds[:1])
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in COMMANDS}
    given = settings.init or _shipped_alone(plan)
    for turn in turns(plan, settings.seeds):
        pretraining = plan.pretrainings[turn.pretraining]
        pool = pretraining.pool or settings.pool
        init = given or f"{settings.exp}/{_pretraining(pool, turn)}/backbone.safetensors"
        pretrain = {"config": settings.pretrain_config, "data_dir": f"{settings.data}/{turn.name(pool)}"}
        pretrain |= {"out_dir": str(Path(init).parent), "seed": turn.seed, **pretraining.options}
        if not given and pretrain not in found["pretrain"]:
            found["pretrain"].append(pretrain)
        for run in plan.runs:
            _add(found, run, turn, init, settings, plan)
    if found["pretrain"] and not Path(settings.pretrain_config).is_file():
        raise AsitError(f"{settings.pretrain_config}: no such file; it holds the options of pretraining")
    return found


def _shipped_alone(plan: Plan) -> str:
    """The name of weights that ship, where no system needs a pretraining of the recipe's own: the network of random
    weights is then that of these."""
    systems = {system for run in plan.runs for system in run.systems}
    of_shipped = sorted(system for system in systems if shipped_system(system))
    return of_shipped[0].split()[0] if of_shipped and systems <= {*of_shipped, "scratch", "baseline"} else ""


def _pretraining(pool: str, turn: Turn) -> str:
    """Folder of the backbone: of the seed, and of the fold when the pool differs between folds."""
    return f"pretrain{turn.of_pretraining}_{turn.suffix if '{fold}' in pool else turn.seed}"


def _add(
    found: dict[str, list[dict[str, Any]]], run: Run, turn: Turn, init: str, settings: Settings, plan: Plan
) -> None:
    """The runs of all systems of an entry; those that start from no pretraining are made beside the first one."""
    own_tags = [
        f"task={run.task}",
        f"labels={run.labels}",
        f"seed={turn.seed}",
        *[f"fold={turn.fold}"] * bool(turn.fold),
    ]
    train, valid = f"{settings.data}/{turn.name(run.train)}", turn.name(run.valid)
    valid = f"{settings.data}/{valid}" if valid else ""
    tests = {turn.name(test): [f"test={test}"] * (len(run.test) > 1) for test in run.test}
    for system in run.systems:
        of_shipped = shipped_system(system)
        without = bool(of_shipped) or system in ("scratch", "baseline")
        if without and turn.pretraining != next(iter(plan.pretrainings)):
            continue
        out = f"{settings.exp}/{run.name}_{folder_name(system)}{'' if without else turn.of_pretraining}_{turn.suffix}"
        pretraining = system.split()[0] if of_shipped else WITHOUT if without else turn.pretraining
        tags = [*own_tags, *([f"pretraining={pretraining}"] * bool(turn.pretraining))]
        sets = {"train_dir": train, "valid_dir": valid} if valid else {"train_dir": train}
        config = str(plan.folder / run.config)
        if system in UNTRAINED:  # its command knows few of the options in the file, and would refuse the others
            taken = {name: value for name, (value, _) in read_yaml(config).items() if name in UNTRAINED[system]}
            shared = {**({"model": init} if system == "knn" else {}), **taken, **sets}
            for test, tag in tests.items():
                place = {"test_dir": f"{settings.data}/{test}", "out_dir": f"{out}/{test}", "tags": tags + tag}
                found[system].append({**shared, **place})
            continue
        shown, own = of_shipped or FINETUNED[system]
        own = {"out_dir": out, "seed": turn.seed, "tags": [*tags, f"system={shown}"], **own}
        found["finetune"].append({"config": config, "init": init, **sets, **own})
        for name_of_list in run.trials:
            stem = Path(name_of_list).stem
            compared = {"trials": f"{settings.data}/{name_of_list}", "data_dir": f"{settings.data}/{next(iter(tests))}"}
            table = [f"task={run.task} ({stem})"] * (len(run.trials) > 1)  # error rates of lists do not average
            compared |= {"out_dir": f"{out}/{stem}", "tags": table}
            found["verify"].append({"model": f"{out}/model.safetensors", **compared})
        for test, tag in tests.items() if not run.trials else ():
            score = {"model": f"{out}/model.safetensors", "data_dir": f"{settings.data}/{test}"}
            for ending, table, options in run.scorings:
                place = {"out_dir": f"{out}/{test}{ending}", "tags": tag + [f"task={table}"] * bool(ending)}
                more = {key: turn.name(str(value)).replace("{train}", train) for key, value in options.items()}
                found["score"].append({**score, **place, **more})


def write(settings: Settings) -> dict[str, int]:
    """Write the list of every kind, in place of those of an earlier call; returns how many jobs each has."""
    runs = options_of_runs(settings)
    for kind, jobs in runs.items():
        job_list.write(Path(settings.out, f"{kind}.txt"), [job_list.line(COMMANDS[kind], job) for job in jobs])
    return {kind: len(jobs) for kind, jobs in runs.items()}
