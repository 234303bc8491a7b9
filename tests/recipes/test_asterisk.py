"""egs/asterisk from the packages to the table, on small packages; its checks of them; and what its tables say."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from asit.kaldi.data_dir import DataDir

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import asterisk_corpus
from recipe_runs import ROOT, assert_refused, call, copy_recipe, run

RECIPE = ROOT / "egs/asterisk"
CONFIGS = {
    "fbank.yaml": "sample_rate: 8000\nnum_mel_bins: 16\n",
    "pretrain.yaml": (
        "embed_dim: 16\ndepth: 1\nheads: 2\npatch: [16, 0]\nglobal_frames: 64\nshort_clips: skip\n"
        "head_hidden: 16\nhead_bottleneck: 8\nprototypes: 12\nsteps: 4\nwarmup: 1\nbatch_size: 4\n"
        "num_workers: 0\ntensorboard: false\n"
    ),
    "finetune_tiny.yaml": (
        "crop_frames: 64\nsteps: 4\nwarmup: 1\nbatch_size: 4\nthreads: 1\nnum_workers: 0\ntensorboard: false\n"
    ),
    "runs_tiny.yaml": (
        "draws: 3\nruns:\n"
        '  - {task: speakers, labels: 2%, train: "spk_train_2pct_{draw}", valid: spk_valid, test: spk_test, '
        "config: finetune_tiny.yaml}\n"
        '  - {task: unselected, train: "spk_train_2pct_{draw}", test: spk_test, systems: [pretrained], '
        "config: finetune_tiny.yaml}\n"
    ),
}
STAGES = ("download", "data", "features", "stats", "pretrain", "finetune", "score", "report")


def load(name: str) -> ModuleType:
    """A module of the recipe; other recipes have modules of the same names."""
    names = [path.stem for path in (RECIPE / "local").glob("*.py")]
    kept = {other: sys.modules.pop(other) for other in names if other in sys.modules}
    sys.path.insert(0, str(RECIPE / "local"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(RECIPE / "local"))
        for other in names:
            sys.modules.pop(other, None)
        sys.modules.update(kept)


splits = load("splits")
corpus = load("corpus")


@pytest.fixture(scope="module")
def small() -> asterisk_corpus.SmallCorpus:
    return asterisk_corpus.make()


def place(small: asterisk_corpus.SmallCorpus, folder: Path) -> tuple[Path, Path]:
    """A copy of the recipe for these packages, and the folder that holds them."""
    recipe = copy_recipe("asterisk", folder, CONFIGS)
    small.write(folder / "my packages", recipe)
    return recipe, folder / "my packages"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, small: asterisk_corpus.SmallCorpus) -> tuple[Path, Path]:
    """The recipe, run to its end."""
    recipe, debs = place(small, tmp_path_factory.mktemp("asterisk"))
    run(recipe, *run_command(debs))
    return recipe, debs


def run_command(debs: Path) -> list[str]:
    return ["./run.sh", "--corpus", str(debs), "--nj", "2", "--runs", "conf/runs_tiny.yaml"]


def unpack(recipe: Path, debs: Path) -> object:
    return call(recipe, sys.executable, "local/unpack.py", "--debs", str(debs), "--fetch", "false")


def test_every_stage_leaves_what_it_should(finished: tuple[Path, Path], small: asterisk_corpus.SmallCorpus) -> None:
    recipe, _ = finished
    clips = sorted(path.relative_to(recipe / "downloads/clips") for path in recipe.rglob("downloads/clips/*/**/*.wav"))
    assert clips == sorted(Path(voice, f"{name}.wav") for voice, name, *_ in small.rows)
    everything = DataDir(str(recipe / "data/all"))
    assert len(everything.feats) == len(small.rows)
    assert len(set(everything.utt2spk.values())) == 7
    assert len(DataDir(str(recipe / "data/spk_test")).labels) == 7
    assert "utt2label" not in [path.name for path in (recipe / "data/pool").iterdir()]
    records = [json.loads(path.read_text()) for path in recipe.glob("exp/*/*/metrics.json")]
    assert sorted((r["tags"]["task"], r["tags"]["labels"]) for r in records) == [
        *3 * [("speakers", "2%")],
        ("unselected", "all"),
    ]
    table = (recipe / "exp/RESULTS.md").read_text()
    for words in ("## unselected", "## speakers", "labels 2%", "from scratch", "pretrained", "majority"):
        assert words in table


def test_a_second_run_does_nothing(finished: tuple[Path, Path]) -> None:
    recipe, debs = finished
    output = call(recipe, *run_command(debs), "--status").stdout
    assert [line.split()[1] for line in output.splitlines()] == list(STAGES)
    assert all(line.endswith(" finished") for line in output.splitlines()), output


def test_without_a_validation_set_nothing_is_selected(finished: tuple[Path, Path]) -> None:
    log = (finished[0] / "exp/unselected_all_pretrained_0/train.log").read_text()
    assert "no validation set" in log


def test_clips_of_a_lost_folder_are_missed(finished: tuple[Path, Path], tmp_path: Path) -> None:
    recipe, _ = finished
    done = call(recipe, sys.executable, "local/prepare.py", "--clips", str(tmp_path), "--data", str(tmp_path / "data"))
    assert_refused(done, r"\d+ of \d+ clips are missing, the first is allison_en/.*; run stage download again")
    assert not (tmp_path / "data").exists()


def test_packages_of_another_kind_are_refused(small: asterisk_corpus.SmallCorpus, tmp_path: Path) -> None:
    recipe, debs = place(small, tmp_path)
    deb = next(debs.glob("asterisk-prompt-es-co_*.deb"))
    content = deb.read_bytes()
    deb.write_bytes(content[: len(content) // 2])
    assert_refused(unpack(recipe, debs), "es-co_1_all.deb: damaged: expected sha256 [0-9a-f]{64}, found")
    deb.write_bytes(content[:100])
    assert_refused(unpack(recipe, debs), "es-co_1_all.deb: (damaged package|no control.tar)")
    deb.unlink()
    (debs / "asterisk-core-sounds-en-wav_1_all.deb").unlink()
    missing = "missing: asterisk-core-sounds-en-wav 1, asterisk-prompt-es-co 1"
    assert_refused(unpack(recipe, debs), f"expected 8 packages, found 6; {missing}")
    other = tmp_path / "other"
    other.mkdir()
    dataclasses.replace(small, version="2").write(tmp_path / "my packages", copy_recipe("asterisk", other, {}))
    for old in debs.glob("*_1_all.deb"):
        old.unlink()
    assert_refused(unpack(recipe, debs), "expected version 1, found 2")
    left = {path.name for path in recipe.glob("downloads/clips/*")}
    assert left <= {"allison_en", "allison_es", "armelle_fr"}, "whole voices before the broken one, nothing half-made"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, r"expected usr/\S+/\S+\.wav or \.gsm, found neither"),
        (asterisk_corpus.encode(np.zeros(800, np.int16)), r"expected \d+ samples, found 800"),
        (asterisk_corpus.encode(np.zeros(800, np.int16), rate=16000), r"expected mono at 8000 Hz, found 1 .* 16000 Hz"),
        (asterisk_corpus.encode(np.zeros((800, 2), np.int16)), r"expected mono at 8000 Hz, found 2 channel"),
        (b"RIFF", "cannot decode"),
        (b"", "cannot decode"),
    ],
)
def test_clips_of_another_kind_are_refused(
    small: asterisk_corpus.SmallCorpus, tmp_path: Path, content: bytes | None, expected: str
) -> None:
    voice, name, *_ = next(row for row in small.rows if row[0] == "allison_en")
    files = dict(small.files[voice])
    path = next(path for path in files if path.endswith(f"/{name}.wav"))
    files = {p: c if p != path else content for p, c in files.items() if p != path or content is not None}
    recipe, debs = place(dataclasses.replace(small, files={**small.files, voice: files}), tmp_path)
    assert_refused(unpack(recipe, debs), expected)
    assert not list(recipe.glob("downloads/clips/*"))


def test_tables_with_errors_are_refused(small: asterisk_corpus.SmallCorpus, tmp_path: Path) -> None:
    recipe, debs = place(small, tmp_path)
    table = recipe / "local/manifest.tsv"
    lines = table.read_text().splitlines()
    for second, expected in (("nobody\ta\t-\t-\t1", "manifest.tsv:2: expected a voice"), ("a\tb", "manifest.tsv:2:")):
        table.write_text("\n".join([lines[0], second, *lines[2:]]) + "\n")
        assert_refused(unpack(recipe, debs), expected)
    table.write_text("\n".join(lines[1:]) + "\n")
    assert_refused(unpack(recipe, debs), "manifest.tsv:1: expected the columns voice name word digit samples")
    table.unlink()
    assert_refused(unpack(recipe, debs), "manifest.tsv: cannot read: .*restore it from git")


# --- the tables of the whole corpus ----------------------------------------------------------------


@pytest.fixture(scope="module")
def clips() -> list:
    return corpus.read_clips(corpus.read_voices())


@pytest.fixture(scope="module")
def sets(clips: list) -> dict:
    return splits.splits(clips)


def test_the_corpus_is_as_large_as_said(clips: list) -> None:
    assert len(clips) == 3899
    assert len({clip.utt for clip in clips}) == len({clip.path for clip in clips}) == 3899
    assert 173 < sum(clip.seconds for clip in clips) / 60 < 174
    assert len({clip.voice.speaker for clip in clips}) == 7
    readme = (RECIPE / "README.md").read_text(encoding="utf-8")
    for voice in corpus.read_voices():
        own = [clip for clip in clips if clip.voice == voice]
        assert f"| {voice.voice} |" in readme
        assert f"| {len(own)} ({sum(clip.seconds for clip in own) / 60:.1f} min)" in readme


def test_no_prompt_is_in_two_parts(sets: dict) -> None:
    prompts = {name: {clip.prompt for clip, _ in rows.values()} for name, rows in sets.items()}
    parts = [prompts[f"spk_{part}"] for part in ("train", "valid", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert prompts["pool"] <= prompts["spk_train"]
    for part in ("train", "valid", "test"):
        assert len({label for _, label in sets[f"spk_{part}"].values()}) == 7


def test_three_voices_are_not_in_the_pool(sets: dict) -> None:
    heard = {name: {clip.voice.voice for clip, _ in rows.values()} for name, rows in sets.items()}
    assert heard["spk_train"] - heard["pool"] == heard["spk_test"] - heard["pool"] == set(splits.UNHEARD)


def test_label_subsets_are_nested_and_draws_differ(sets: dict) -> None:
    for draw in splits.DRAWS:
        small, tenth = sets[f"spk_train_2pct_{draw}"].keys(), sets[f"spk_train_10pct_{draw}"].keys()
        assert small < tenth < sets["spk_train"].keys()
        assert len(small) == 47
        assert len({label for _, label in sets[f"spk_train_2pct_{draw}"].values()}) == 7
    assert len({frozenset(sets[f"spk_train_2pct_{draw}"]) for draw in splits.DRAWS}) == 3
