"""``conf/runs.yaml`` of a recipe: which runs there are.

A run is a training set, a validation set and a test set under one configuration; it is made for each seed and each
fold, once for every system. Where ``pretrainings`` names several, as an ablation does, every run is made from each of
them; ``shared`` has the options that all of them have. The name of weights that ship is a system too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from asit.config import entry, from_dict, read_yaml
from asit.errors import AsitError, excerpt, nearest
from asit.models import shipped
from asit.tasks.decoding import DecodingSettings

# system -> options of asit-finetune beside those of the configuration; their names in the report
FINETUNED = {
    "pretrained": ("pretrained", {}),
    "scratch": ("from scratch", {"from_scratch": True}),
    "probe": ("linear probe", {"freeze_backbone": True}),
    "weighted": ("linear probe of all layers", {"freeze_backbone": True, "layers": "weighted"}),
}
OF_TRIALS = ("pretrained", "scratch")  # systems that learn to embed speakers, which trials compare
# system that trains no network, a command and a kind of its own -> options that it takes from the configuration
UNTRAINED = {
    "knn": ("task", "pooling", "pool_slices", "probe_layer", "crop_frames", "scoring"),
    "baseline": ("task",),
}
SYSTEMS = (*FINETUNED, *UNTRAINED)
NAMES = ("runs", "draws", "folds", "shared", "pretrainings")  # of conf/runs.yaml
PLANNED = ("config", "data_dir", "out_dir", "seed")  # options of asit-pretrain that the plan sets
WITHOUT = "none"  # tag of the runs that start from no pretraining, where several are compared


class Scoring(NamedTuple):
    """One way of scoring a test set."""

    ending: str  # of the folder's name, after that of the set
    table: str  # of the report
    options: dict[str, Any]  # of asit-evaluate


@dataclass(frozen=True)
class Run:
    """One entry of ``runs``. In the names of sets, {seed}, {draw} and {fold} are replaced.

    ``trials``: lists below --data; the test set is then scored by asit-verify, once with each list.
    ``decodings``, of task ctc: name -> options of decoding, where {train} is the training set's folder: the test sets
    are scored once more with each, in a table called "<task>, <name>".
    """

    task: str
    train: str
    test: tuple[str, ...]
    config: str
    valid: str = ""
    labels: str = "all"
    systems: tuple[str, ...] = ("pretrained", "scratch", "baseline")
    trials: tuple[str, ...] = ()
    decodings: dict[str, dict[str, Any]] | None = None

    @property
    def name(self) -> str:
        """What the names of its folders begin with: the task and the labels."""
        return folder_name(f"{self.task}_{self.labels}")

    @property
    def scorings(self) -> tuple[Scoring, ...]:
        """The ways in which a test set is scored."""
        others = (self.decodings or {}).items()
        more = (Scoring(f"_{folder_name(str(name))}", f"{self.task}, {name}", options) for name, options in others)
        return Scoring("", self.task, {}), *more


class Pretraining(NamedTuple):
    """One of the pretrainings that are compared, or the only one."""

    options: dict[str, Any]  # of asit-pretrain, beside those of the configuration
    pool: str = ""  # the set that it hears; empty: the recipe's


class Plan(NamedTuple):
    """``conf/runs.yaml``."""

    runs: tuple[Run, ...]
    draws: int
    folds: tuple[str, ...]  # one empty name when there are none
    pretrainings: dict[str, Pretraining]  # one empty name when none are named
    folder: Path


class Turn(NamedTuple):
    """One repetition of all runs."""

    seed: int
    draw: int
    fold: str
    pretraining: str = ""

    def name(self, text: str) -> str:
        """``text`` with {seed}, {draw} and {fold} replaced."""
        for key in ("seed", "draw", "fold"):
            text = text.replace(f"{{{key}}}", str(getattr(self, key)))
        return text

    @property
    def suffix(self) -> str:
        """``0`` or ``0_fold2``: the end of a folder's name."""
        return f"{self.seed}_fold{self.fold}" if self.fold else str(self.seed)

    @property
    def of_pretraining(self) -> str:
        """``_<pretraining>``, or nothing."""
        return f"_{folder_name(self.pretraining)}" if self.pretraining else ""


def read_plan(path: str) -> Plan:
    """Read ``conf/runs.yaml``.

    Raises:
        AsitError: an unknown or missing name, an unknown system, a configuration that is not there, two runs
            that would share a folder.
    """
    content = read_yaml(path)
    for name, (_, place) in content.items():
        if name not in NAMES:
            raise AsitError(f"{place}: unknown name '{name}': {nearest(name, NAMES)}")
    rows, place = content.get("runs", ([], path))
    if not isinstance(rows, list) or "runs" not in content or not all(isinstance(row, dict) for row in rows):
        raise AsitError(
            f"{place}: expected 'runs' to be a list of runs, each with task, train, test and config; [] for none"
        )
    draws, draws_place = content.get("draws", (1, path))
    if not isinstance(draws, int) or draws < 1:
        raise AsitError(f"{draws_place}: expected 'draws' to be a number of at least 1, found {draws!r}")
    folds, folds_place = content.get("folds", ([""], path))
    if not isinstance(folds, list) or not folds:
        raise AsitError(f"{folds_place}: expected 'folds' to be a list such as [1, 2, 3], found {folds!r}")
    runs = tuple(_run(row, f"{place}: run {number}") for number, row in enumerate(rows, 1))
    plan = Plan(runs, draws, tuple(str(fold) for fold in folds), _pretrainings(content, path), Path(path).parent)
    for number, run in enumerate(runs, 1):
        if not (plan.folder / run.config).is_file():
            raise AsitError(f"{place}: run {number}: {plan.folder / run.config}: no such file; 'config' is beside runs")
    names = [run.name for run in runs]
    for number, name in enumerate(names, 1):
        if name in names[: number - 1]:
            raise AsitError(
                f"{place}: run {number}: its folder {name}_<system>_<seed> and its cell of the table are those of run "
                f"{names.index(name) + 1}; give one of them another 'task' or 'labels'"
            )
    return plan


def _pretrainings(content: dict[str, tuple[Any, str]], path: str) -> dict[str, Pretraining]:
    shared, where = content.get("shared", ({}, path))
    if not isinstance(shared, dict):
        example = "shared: {steps: 2000}"
        raise AsitError(f"{where}: expected options of asit-pretrain, as in {example}, found {excerpt(shared)}")
    named, where = content.get("pretrainings", ({"": {}}, where))
    if not isinstance(named, dict) or not all(isinstance(options, dict) for options in named.values()):
        example = "pretrainings: {full: {}, 'without local': {loss_weights: [0.5, 0, 1]}}"
        raise AsitError(f"{where}: expected names with options, as in {example}, found {excerpt(named)}")
    given = {str(name).replace("-", "_") for options in (shared, *named.values()) for name in options}
    for name in sorted(given.intersection(PLANNED)):
        raise AsitError(f"{where}: the plan sets '{name}' of every pretraining; take it out")
    folders = {folder_name(str(name)) for name in named}
    if not named or WITHOUT in named or len(folders) < len(named):
        raise AsitError(f"{where}: expected one name or more, each for a folder of its own, none of them '{WITHOUT}'")
    found = {}
    for name, options in named.items():
        every = {**shared, **options}
        found[str(name)] = Pretraining(every, str(every.pop("pool", "")))
    return found


def _run(row: dict[str, Any], where: str) -> Run:
    kinds = {"test": _words, "systems": _words, "trials": _words, "decodings": lambda value: value}
    run = entry(Run, {name: kinds.get(name, str)(value) for name, value in row.items()}, where)
    _check_decodings(run, where)
    for system in run.systems:
        if system not in SYSTEMS and not shipped_system(system):
            raise AsitError(f"{where}: unknown system '{system}': {nearest(system, SYSTEMS)}")
        if run.trials and system not in OF_TRIALS:
            raise AsitError(f"{where}: system '{system}' with trials: expected systems among {', '.join(OF_TRIALS)}")
    if "knn" in run.systems and not run.valid:
        raise AsitError(f"{where}: system 'knn' needs 'valid', the set on which k is chosen")
    for what, names in (("test", run.test), ("trials", [Path(name).stem for name in run.trials])):
        twice = [name for name in names if list(names).count(name) > 1]
        if twice:
            raise AsitError(f"{where}: '{what}': two of the name '{twice[0]}' would share a folder; rename one")
    if run.trials and len(run.test) > 1:
        raise AsitError(f"{where}: expected one test set, whose clips the trials name, found {len(run.test)}")
    return run


def shipped_system(system: str) -> tuple[str, dict[str, Any]] | None:
    """Of ``asit-tiny``, ``asit-tiny probe``, ``asit-tiny weighted``, if weights of that name ship: as in FINETUNED."""
    weights, _, kind = system.partition(" ")
    if weights not in shipped.names() or kind not in ("", "probe", "weighted"):
        return None
    name, options = FINETUNED[kind] if kind else ("", {})
    return f"{name} of {weights}" if kind else weights, {"init": weights, **options}


def _check_decodings(run: Run, where: str) -> None:
    if run.decodings is None:
        return
    options = run.decodings.values() if isinstance(run.decodings, dict) else [None]
    if not all(isinstance(each, dict) for each in options):
        example = "decodings: {language model: {beam: 10, lm: '{train}/lm.arpa'}}"
        raise AsitError(f"{where}: expected names with options, as in {example}, found {excerpt(run.decodings)}")
    for name, each in run.decodings.items():
        try:
            from_dict(DecodingSettings, each)
        except AsitError as error:
            raise AsitError(f"{where}: decodings: {name}: {error}") from None
    if run.trials:
        raise AsitError(f"{where}: trials are compared, not decoded; take 'decodings' out")
    names = [test + scoring.ending for test in run.test for scoring in run.scorings]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AsitError(f"{where}: 'decodings': two scores would share a folder, '{twice[0]}'; rename one")


def _words(value: Any) -> tuple[str, ...]:
    return tuple(str(word) for word in (value if isinstance(value, list) else [value]))


def folder_name(text: str) -> str:
    """``text`` as part of a folder's name."""
    return text.replace("%", "pct").replace(" ", "_").replace("/", "_")


def turns(plan: Plan, seeds: int) -> Iterator[Turn]:
    """Every seed with every fold and pretraining."""
    every = itertools.product(range(seeds), plan.folds, plan.pretrainings)
    return (Turn(seed, seed % plan.draws, fold, pretraining) for seed, fold, pretraining in every)


def sets(plan: Plan, pool: str, which: str = "all") -> list[str]:
    """Names of the data directories of all runs and of the pools, whichever seeds are run, in order of first use."""
    labelled = [name for run in plan.runs for name in (run.train, run.valid, *run.test) if name]
    pools = [pretraining.pool or pool for pretraining in plan.pretrainings.values()]
    names = {"all": [*pools, *labelled], "labelled": labelled, "pool": pools}[which]
    return list(dict.fromkeys(turn.name(name) for turn in turns(plan, plan.draws) for name in names))
