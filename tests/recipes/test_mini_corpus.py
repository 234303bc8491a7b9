"""The corpus in egs/mini/corpus is what its manifest, its splits and its README say."""

from __future__ import annotations

import csv
import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asit.io.debian_package import read_packages
from asit.kaldi.data_dir import DataDir
from asit.kaldi.data_dir_validate import find_problems

MINI = Path(__file__).resolve().parents[2] / "egs" / "mini"
CORPUS = MINI / "corpus"
sys.path.insert(0, str(MINI / "local"))

import build_corpus  # noqa: E402
import make_splits  # noqa: E402
import manifest  # noqa: E402
import selection  # noqa: E402

sys.path.remove(str(MINI / "local"))


@pytest.fixture(scope="module")
def entries() -> list[manifest.Entry]:
    return manifest.read_manifest(CORPUS)


@pytest.fixture(scope="module")
def sets() -> dict[str, list[dict[str, str]]]:
    found = {}
    for path in (CORPUS / "splits").glob("*.tsv"):
        with open(path, encoding="utf-8", newline="") as stream:
            found[path.stem] = list(csv.DictReader(stream, delimiter="\t"))
    return found


def run_prepare(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(MINI / "local" / "prepare.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_size_and_length(entries: list[manifest.Entry]) -> None:
    flac = sum(p.stat().st_size for p in CORPUS.rglob("*.flac"))
    everything = sum(p.stat().st_size for p in CORPUS.rglob("*") if p.is_file())
    assert flac <= 12_000_000
    assert everything <= 12 * 2**20
    assert sum(e.seconds for e in entries) >= 20 * 60


def test_files_are_those_of_the_manifest(entries: list[manifest.Entry]) -> None:
    assert {e.path for e in entries} == {p.relative_to(CORPUS).as_posix() for p in CORPUS.rglob("*.flac")}
    assert len({e.sha256 for e in entries}) == len(entries), "the same samples twice"
    assert len({e.utt for e in entries}) == len(entries)
    for entry in entries:
        samples = manifest.read_flac(CORPUS / entry.path)
        assert manifest.digest(samples) == entry.sha256, entry.path
        assert len(samples) == round(entry.seconds * selection.RATE), entry.path


def test_words_and_digits_are_complete(entries: list[manifest.Entry]) -> None:
    words = [(e.voice, e.word) for e in entries if e.word != "-"]
    assert sorted(words) == sorted((v, w) for v in selection.ALPHABET for w in selection.WORDS.values())
    digits = [(e.voice, e.digit) for e in entries if e.digit != "-"]
    assert sorted(digits) == sorted((v, d) for v in {e.voice for e in entries} for d in "0123456789")


def test_splits_follow_from_the_manifest(entries: list[manifest.Entry], sets: dict) -> None:
    expected = make_splits.splits(entries)
    assert sets.keys() == expected.keys()
    for name, rows in expected.items():
        assert [(r["path"], r["label"], float(r["seconds"])) for r in sets[name]] == [
            (e.path, label, e.seconds) for e, label in rows
        ]


def test_no_prompt_is_in_two_parts_of_task_a(entries: list[manifest.Entry], sets: dict) -> None:
    prompt = {e.path: e.prompt for e in entries}
    parts = [{prompt[r["path"]] for r in sets[f"spk_{part}"]} for part in ("train", "valid", "test")]
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert not {prompt[r["path"]] for r in sets["pool"]} & (parts[1] | parts[2])
    assert len(sets["spk_test"]) >= 300


def test_two_voices_are_not_in_the_pool(entries: list[manifest.Entry], sets: dict) -> None:
    speaker = {e.path: e.speaker for e in entries}
    heard = {name: {speaker[r["path"]] for r in rows} for name, rows in sets.items()}
    assert heard["pool"] == {"allison", "carlo", "june"}
    assert heard["spk_train"] - heard["pool"] == heard["spk_test"] - heard["pool"] == {"ivrvoice", "menardi"}


def test_label_subsets_are_nested_and_draws_differ(sets: dict) -> None:
    paths = {name: {r["path"] for r in rows} for name, rows in sets.items()}
    for draw in make_splits.DRAWS:
        few, tenth = paths[f"spk_train_few_{draw}"], paths[f"spk_train_10pct_{draw}"]
        assert few < tenth
        assert tenth < paths["spk_train"]
        labels = [r["label"] for r in sets[f"spk_train_few_{draw}"]]
        assert {label: labels.count(label) for label in labels} == dict.fromkeys(sorted(set(labels)), make_splits.FEW)
        assert len(set(labels)) == 5
    assert len({frozenset(paths[f"spk_train_few_{d}"]) for d in make_splits.DRAWS}) == 3


def test_pool_is_long_enough_not_to_be_padded(sets: dict) -> None:
    assert all(float(r["seconds"]) >= 1.6 for r in sets["pool"])


def test_only_creative_commons_with_attribution() -> None:
    attribution = (CORPUS / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for package in read_packages(MINI / "local" / "packages.tsv", build_corpus.Voice):
        assert package.licence.startswith("CC-BY")
        assert f"`{package.voice}/`" in attribution
        assert f"{package.package} {package.version}" in attribution
    legal = "".join(p.read_text(encoding="utf-8") for p in (CORPUS / "licences").iterdir())
    for licence in ("License: CC-BY-SA-3.0", "License: CC-BY-3.0", "License: CC-SA-BY-3.0"):
        assert licence in legal


def test_prepare_writes_valid_directories_in_a_path_with_spaces(tmp_path: Path, sets: dict) -> None:
    recipe = tmp_path / "my recipe"
    recipe.mkdir()
    (recipe / "corpus").symlink_to(CORPUS)
    result = run_prepare(recipe)
    assert result.returncode == 0, result.stderr
    assert sorted(p.name for p in (recipe / "data").iterdir()) == sorted([*sets, "all"])
    assert len(DataDir(str(recipe / "data" / "all")).utts) == len(manifest.read_manifest(CORPUS))
    for name, rows in sets.items():
        data = DataDir(str(recipe / "data" / name))
        assert len(data.utts) == len(rows)
        assert all(value.startswith("corpus/") for value in data.wav_scp.values())
    labels = [DataDir(str(recipe / "data" / f"spk_{s}")).labels for s in ("train", "train_few_0", "valid", "test")]
    assert all(label_map == labels[0] and len(label_map) == 5 for label_map in labels)


def test_prepared_directories_validate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "corpus").symlink_to(CORPUS)
    monkeypatch.chdir(tmp_path)
    assert run_prepare(tmp_path).returncode == 0
    for path in sorted((tmp_path / "data").iterdir()):
        assert find_problems(str(path)) == []


@pytest.fixture
def small_corpus(tmp_path: Path, entries: list[manifest.Entry]) -> Path:
    """A recipe folder with the corpus' first clip of the pool only."""
    first = next(e for e in entries if e.role == "pool")
    corpus = tmp_path / "corpus"
    (corpus / first.path).parent.mkdir(parents=True)
    shutil.copy(CORPUS / first.path, corpus / first.path)
    manifest.write_manifest(corpus, [first])
    (corpus / "splits").mkdir()
    (corpus / "splits" / "pool.tsv").write_text(f"path\tlabel\tseconds\n{first.path}\t-\t{first.seconds}\n")
    return corpus


def test_prepare_names_changed_missing_and_broken_clips(small_corpus: Path) -> None:
    clip = next(small_corpus.rglob("*.flac"))
    original = clip.read_bytes()
    other = next(p for p in CORPUS.rglob("*.flac") if p.name != clip.name)
    for content, message in ((other.read_bytes(), "sha256"), (b"fLaC", "cannot decode"), (None, "missing")):
        clip.write_bytes(content) if content else clip.unlink()
        result = run_prepare(small_corpus.parent)
        assert result.returncode == 1
        assert result.stderr.count("\n") == 1
        assert all(words in result.stderr for words in (clip.name, message, "git checkout"))
        assert not (small_corpus.parent / "data").exists()
    clip.write_bytes(original)
    assert run_prepare(small_corpus.parent).returncode == 0


def test_prepare_names_what_is_wrong_with_manifest_and_splits(small_corpus: Path) -> None:
    split = small_corpus / "splits" / "pool.tsv"
    split.write_text("path\tlabel\tseconds\nx.flac\t-\t1\n")
    assert "'x.flac' is not in manifest.tsv" in run_prepare(small_corpus.parent).stderr
    split.write_text("path\tlabel\tseconds\n")
    assert "pool.tsv: expected lines of path, label, seconds" in run_prepare(small_corpus.parent).stderr
    split.unlink()
    assert "no *.tsv" in run_prepare(small_corpus.parent).stderr
    with open(small_corpus / "manifest.tsv", "a", encoding="utf-8") as stream:
        stream.write("short\tline\n")
    assert "manifest.tsv:3: expected 12 fields" in run_prepare(small_corpus.parent).stderr


def test_copies_and_stretches_are_found() -> None:
    noise = np.random.default_rng(0).integers(-3000, 3000, 8000).astype(np.int16)
    other = np.random.default_rng(1).integers(-3000, 3000, 8000).astype(np.int16)
    clips = [selection.Clip("v", n, n, x) for n, x in (("a", noise), ("b", noise[2000:6000]), ("c", other))]
    assert [(a.name, b.name) for a, b in selection.same_recordings(clips)] == [("b", "a")]
    across = [clips[0], dataclasses.replace(clips[0], voice="w")]
    assert len(selection.same_recordings(across)) == 1


@pytest.mark.skipif("ASIT_MINI_PACKAGES" not in os.environ, reason="set ASIT_MINI_PACKAGES to the folder of .deb files")
def test_packages_give_the_committed_corpus() -> None:
    command = [
        sys.executable,
        "local/build_corpus.py",
        "--packages",
        os.environ["ASIT_MINI_PACKAGES"],
        "--check",
        "true",
    ]
    result = subprocess.run(command, cwd=MINI, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
