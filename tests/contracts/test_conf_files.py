"""Every egs/*/conf/*.yaml is accepted by the command it is for. New files and recipes are picked up by themselves.

What a file is for is the first word of its name: fbank, pretrain or finetune, as in ``pretrain_small.yaml``; runs lists
the runs of a recipe, published the numbers that others have published.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

from asit import registry
from asit.config import parse, read_yaml, to_dict
from asit.features.extract import ExtractSettings
from asit.features.fbank import Fbank, FbankSettings
from asit.recipes.job_list import line
from asit.recipes.published import read_published
from asit.recipes.runs_file import read_plan
from asit.runs.finetune import Settings as FinetuneSettings
from asit.runs.pretrain import PretrainSettings

EGS = Path(__file__).parents[2] / "egs"
ALL = sorted(EGS.glob("*/conf/*.yaml"))
PUBLISHED = [path for path in ALL if path.stem == "published"]
PLANS = [path for path in ALL if "\nruns:" in path.read_text(encoding="utf-8")]
FILES = [path for path in ALL if path not in PUBLISHED + PLANS]  # of options
STEPS_PER_EPOCH = 1000
COMPARED = [p for p in PLANS if "\npretrainings:" in p.read_text(encoding="utf-8")]


def settings_of(path: Path):
    """The settings that the command of a file makes of it."""
    kinds = {
        "fbank": (ExtractSettings, ["--data-dir", "data/x", "--out-dir", "fbank", "--name", "x"]),
        "pretrain": (PretrainSettings, []),
        "finetune": (FinetuneSettings, ["--train-dir", "data/x", "--out-dir", "exp/x", "--init", "exp/x"]),
    }
    kind = path.stem.partition("_")[0]
    assert kind in kinds, f"{path}: the first word of a configuration's name is one of {', '.join(kinds)}"
    settings, needed = kinds[kind]
    return parse(settings, ["--config", str(path), *needed])


def front_end(path: Path) -> FbankSettings:
    """The features that a training configuration goes with: of the same ending, or the recipe's own."""
    own = path.with_name(path.name.replace(path.stem.partition("_")[0], "fbank", 1))
    return settings_of(own if own.exists() else path.with_name("fbank.yaml")).fbank


def of_kind(kind: str):
    return pytest.mark.parametrize(
        "path", [p for p in FILES if p.stem.partition("_")[0] == kind], ids=lambda p: f"{p.parts[-3]}-{p.stem}"
    )


def test_recipes_have_configurations() -> None:
    assert {p.stem.partition("_")[0] for p in FILES} >= {"fbank", "pretrain", "finetune"}
    for recipe in {p.parent for p in FILES}:
        assert (recipe / "fbank.yaml").exists(), f"{recipe}: a recipe's front end is conf/fbank.yaml"


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parts[-3]}-{p.stem}")
class TestEveryFile:
    def test_is_accepted_whole(self, path: Path, monkeypatch) -> None:
        """Each line has the effect that it says."""
        settings = to_dict(settings_of(path))
        for key, (value, where) in read_yaml(path).items():
            found = settings[key]
            assert found in (value, [value]) or str(found) == str(value) or float(found) == float(value), where

    def test_begins_by_saying_what_it_is(self, path: Path) -> None:
        assert path.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("path", PUBLISHED + PLANS, ids=lambda p: f"{p.parts[-3]}-{p.stem}")
def test_lists_can_be_read(path: Path) -> None:
    assert (read_plan if path in PLANS else read_published)(str(path))


@pytest.mark.parametrize("path", COMPARED, ids=lambda p: f"{p.parts[-3]}-{p.stem}")
def test_pretrainings_of_an_ablation_can_be_built(path: Path) -> None:
    base = path.with_name(re.search(r"differs from (pretrain_\w+\.yaml)", path.read_text().replace("\n# ", " "))[1])
    for pretraining in read_plan(str(path)).pretrainings.values():
        words = shlex.split(line("asit-pretrain", {"config": str(base), **pretraining.options}))
        settings = parse(PretrainSettings, words[1:])
        frames, mels = settings.crops.global_frames, front_end(base).num_mel_bins
        with torch.device("meta"):
            build = registry.load("methods", settings.method.name).build
            build(settings.method.settings, frames=frames, mels=mels, steps=10, steps_per_epoch=5)
        generator = torch.Generator().manual_seed(0)
        masking = settings.method.settings.masking
        registry.load("masking", masking.name).corrupt(torch.zeros(4, 1, frames, mels), masking.settings, generator)


@of_kind("fbank")
def test_front_end_can_be_made(path: Path) -> None:
    settings = settings_of(path).fbank
    fbank = Fbank(settings)
    assert fbank.settings.num_frames(settings.sample_rate) > 90


@of_kind("pretrain")
def test_method_can_be_built(path: Path) -> None:
    settings, mels = settings_of(path), front_end(path).num_mel_bins
    steps, train = settings.train.total_steps(STEPS_PER_EPOCH), settings.train
    frames = settings.crops.global_frames
    with torch.device("meta"):
        learner = registry.load("methods", settings.method.name).build(
            settings.method.settings, frames=frames, mels=mels, steps=steps, steps_per_epoch=STEPS_PER_EPOCH
        )
        tokens = learner.backbone(settings.export)(torch.empty(1, 1, frames, mels))
        if settings.crops.local_crops:
            short = learner.backbone(settings.export)(torch.empty(1, 1, settings.crops.local_frames, mels))
            assert 0 < short.patches.shape[1] < tokens.patches.shape[1]
    assert tokens.patches.shape[1] > 1
    rate = train.lr_of_step(STEPS_PER_EPOCH, train.batch_size * train.accum)
    assert 0 < rate[steps - 1] <= train.peak_lr(train.batch_size * train.accum)
    assert train.weight_decay_of_step(STEPS_PER_EPOCH)[0] >= 0


@of_kind("finetune")
def test_task_can_be_built(path: Path) -> None:
    settings = settings_of(path)
    component = registry.load("tasks", settings.task.name).Task
    labels = ["<blank>", "<unk>", "c"] if component.table == "text" else ["a", "b", "c"]
    task = component(settings.task.settings, labels)
    assert task.num_outputs == 3
    steps = settings.train.total_steps(STEPS_PER_EPOCH)
    assert settings.train.lr_of_step(STEPS_PER_EPOCH, settings.train.batch_size)[steps - 1] > 0
    if settings.eval_every:
        assert settings.eval_every <= steps, "the validation set would be looked at only at the end"
