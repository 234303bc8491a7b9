"""A recipe made for a corpus: what the recordings tell is filled in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from asit.config import from_dict
from asit.errors import AsitError
from asit.features.fbank import FbankSettings
from asit.models import model_file
from asit.recipes.corpus import read_corpus
from asit.recipes.new import NewRecipeSettings, new_recipe
from asit.recipes.runs_file import read_plan, sets

TEMPLATE = str(Path(__file__).parents[3] / "egs" / "TEMPLATE")


def make(tmp_path, corpus, name: str = "mine", **options: str) -> Path:
    own = {"name": name, "corpus": str(corpus), **options}
    settings = NewRecipeSettings(**own, template=TEMPLATE, egs_dir=str(tmp_path / "my egs"))
    (tmp_path / "my egs").mkdir(exist_ok=True)
    new_recipe(settings)
    return tmp_path / "my egs" / name


def write(path: Path, rate: int, seconds: float, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros((int(rate * seconds), channels), dtype=np.float32), rate)


def default(recipe: Path, name: str) -> str:
    line = next(line for line in (recipe / "run.sh").read_text().splitlines() if line.startswith(f"{name}="))
    return line.partition("=")[2].partition(" #")[0].strip()


def test_class_folders_of_telephone_speech(tmp_path) -> None:
    corpus = tmp_path / "my corpus"
    for label in "ab":
        for i in range(5):
            write(corpus / label / f"{i}.wav", 8000, 1.0)
    recipe = make(tmp_path, corpus)
    fbank = yaml.safe_load((recipe / "conf/fbank.yaml").read_text())
    assert (fbank["sample_rate"], fbank["num_mel_bins"]) == (8000, 64)
    assert yaml.safe_load((recipe / "conf/pretrain.yaml").read_text())["global_frames"] == 64, "two thirds of a clip"
    assert yaml.safe_load((recipe / "conf/finetune.yaml").read_text())["crop_frames"] == 96, "all of it"
    assert default(recipe, "corpus") == f'"{corpus}"'
    assert "channel" not in fbank
    (run,) = read_plan(str(recipe / "conf/runs.yaml")).runs
    assert (run.train, run.valid, run.test, run.task) == ("train", "valid", ("test",), "mine")
    assert (recipe / "run.sh").stat().st_mode & 0o111


def test_folds_tags_and_stereo(tmp_path) -> None:
    text = "path,label,fold\n"
    for i in range(6):
        write(tmp_path / f"{i}.wav", 44100, 0.5, channels=2)
        text += f"{i}.wav,{'x;y' if i % 2 else 'x'},{i % 3 + 1}\n"
    (tmp_path / "clips.csv").write_text(text)
    recipe = make(tmp_path, tmp_path / "clips.csv")
    plan = read_plan(str(recipe / "conf/runs.yaml"))
    assert plan.folds == ("1", "2", "3")
    assert plan.runs[0].valid == ""
    assert sets(plan, default(recipe, "pool").strip('"'))[:3] == ["pool_fold1", "train_fold1", "test_fold1"]
    assert conf(recipe, "fbank")["channel"] == "0"
    assert yaml.safe_load((recipe / "conf/finetune.yaml").read_text())["task"] == "tagging"
    assert yaml.safe_load((recipe / "conf/fbank.yaml").read_text())["sample_rate"] == 16000


def conf(recipe: Path, name: str) -> dict:
    return yaml.safe_load((recipe / "conf" / f"{name}.yaml").read_text())


@pytest.mark.parametrize("preset", ["", "words", "speakers", "sounds"])
def test_weights_that_ship_where_their_front_end_fits(tmp_path, preset) -> None:
    for label in "ab":
        for i in range(10):
            write(tmp_path / "corpus" / label / f"{i}.wav", 16000, 0.6 + 0.1 * i)
    recipe = make(tmp_path, tmp_path / "corpus", preset=preset)
    (run,) = read_plan(str(recipe / "conf/runs.yaml")).runs
    fits = preset in ("", "words")
    assert ("asit-tiny" in run.systems) == fits
    front_end = from_dict(FbankSettings, conf(recipe, "fbank"))
    assert (front_end == from_dict(FbankSettings, model_file.load_metadata("asit-tiny")["front_end"])) == fits
    assert conf(recipe, "pretrain")["patch"] == [4, 0]
    crop, slices = {"words": (144, 8)}.get(preset, (104, 1))
    assert (conf(recipe, "finetune")["crop_frames"], conf(recipe, "finetune")["pool_slices"]) == (crop, slices)


@pytest.mark.parametrize(("clips", "pretrain", "finetune"), [(15, 16, 16), (50, 32, 32)])
def test_batches_fit_a_small_corpus(tmp_path, clips, pretrain, finetune) -> None:
    for label in "ab":
        for i in range(clips):
            write(tmp_path / "corpus" / label / f"{i}.wav", 8000, 1.0)
    settings = NewRecipeSettings(name="mine", corpus=str(tmp_path / "corpus"), template=TEMPLATE, egs_dir=str(tmp_path))
    told = new_recipe(settings)
    assert conf(tmp_path / "mine", "pretrain")["batch_size"] == pretrain
    assert conf(tmp_path / "mine", "finetune")["batch_size"] == finetune
    assert ("pretrain: 22 clips are fewer than a batch of 32: batch_size is 16" in told) == (clips == 15)


def test_only_clips_of_a_crop_count_for_the_batch(tmp_path) -> None:
    for label in "ab":
        for i in range(24):
            write(tmp_path / "corpus" / label / f"{i}.wav", 8000, 0.4 if i % 5 == 0 else 1.0)
    recipe = make(tmp_path, tmp_path / "corpus")
    assert conf(recipe, "pretrain")["global_frames"] == 64
    assert conf(recipe, "pretrain")["batch_size"] == 16, "40 clips to train on, but some are shorter than a crop"
    assert conf(recipe, "finetune")["batch_size"] == 32


def test_clips_shorter_than_any_crop(tmp_path) -> None:
    for label in "ab":
        for i in range(4):
            write(tmp_path / "corpus" / label / f"{i}.wav", 8000, 0.2)
    recipe = make(tmp_path, tmp_path / "corpus")
    assert conf(recipe, "pretrain")["short_clips"] == "pad"
    assert conf(recipe, "pretrain")["batch_size"] == 4


def test_validation_by_any_name_selects_and_sets_are_names_in_yaml(tmp_path) -> None:
    for name in ("Training", "dev", "no", "test"):
        for label in "ab":
            write(tmp_path / "corpus" / name / label / "1.wav", 8000, 0.5)
    recipe = make(tmp_path, tmp_path / "corpus")
    (run,) = read_plan(str(recipe / "conf/runs.yaml")).runs
    assert (run.train, run.valid, run.test) == ("train", "valid", ("no", "test"))


def test_columns_and_tags_with_negatives(tmp_path) -> None:
    text = "id;tags;fold\n"
    for i in range(6):
        write(tmp_path / "clips" / f"{i}.wav", 16000, 0.5)
        text += f"{i};{'bird' if i % 2 else '-'};0{i % 3 + 1}\n"
    (tmp_path / "clips.csv").write_text(text)
    columns = "path=clips/{id}.wav,label=tags"
    settings = {"name": "mine", "corpus": str(tmp_path / "clips.csv"), "columns": columns}
    told = new_recipe(NewRecipeSettings(**settings, template=TEMPLATE, egs_dir=str(tmp_path)))
    assert "1 labels" in told
    assert conf(tmp_path / "mine", "finetune")["task"] == "tagging"
    assert default(tmp_path / "mine", "columns") == f'"{columns}"'
    assert read_plan(str(tmp_path / "mine/conf/runs.yaml")).folds == ("01", "02", "03")


def test_what_is_refused(tmp_path) -> None:
    for label in "ab":
        for i in range(3):
            write(tmp_path / "corpus" / label / f"{i}.wav", 8000, 0.5)
    with pytest.raises(AsitError, match="expected letters, digits"):
        make(tmp_path, tmp_path / "corpus", "my recipe")
    make(tmp_path, tmp_path / "corpus")
    with pytest.raises(AsitError, match="is there already"):
        make(tmp_path, tmp_path / "corpus")
    for label in "ab":
        write(tmp_path / "other" / label / "1.wav", 8000, 0.5)
    with pytest.raises(AsitError, match="cannot be split"):
        make(tmp_path, tmp_path / "other", "other")
    assert not (tmp_path / "my egs" / "other").exists()


@pytest.mark.parametrize("kind", ["flat", "deep", "table"])
def test_recordings_without_labels_are_a_pool(tmp_path, kind) -> None:
    """All of them, wherever they are; nothing is planned but pretraining."""
    corpus, paths = tmp_path / "wavs", [f"{i}.wav" for i in range(4)]
    if kind == "deep":
        paths = [f"train/2024/{path}" for path in paths[:2]] + paths[2:]
    for path in paths:
        write(corpus / path, 16000, 1.0)
    if kind == "table":
        (corpus / "table.csv").write_text("path,split\n" + "".join(f"{path},test\n" for path in paths))
        corpus = corpus / "table.csv"
    recipe = make(tmp_path, corpus, labels="none")
    assert default(recipe, "labels") == '"none"'
    plan = read_plan(str(recipe / "conf/runs.yaml"))
    assert plan.runs == ()
    assert (sets(plan, "pool"), sets(plan, "pool", "labelled")) == (["pool"], [])
    found = read_corpus(str(corpus), labels="none")
    assert sorted(Path(r.path).name for r in found) == ["0.wav", "1.wav", "2.wav", "3.wav"]
    assert {(r.labels, r.split) for r in found} == {((), "pool")}
    if kind != "table":
        with pytest.raises(AsitError, match=r"in folders of labels|move it into a label's folder"):
            read_corpus(str(corpus))
