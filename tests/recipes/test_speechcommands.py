"""egs/speechcommands from the download to the table, both tasks, on small corpora in the official layout; the hashing
rule against the official lists; and the checks of the corpus.
"""

from __future__ import annotations

import collections
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from asit.config import read_yaml
from asit.kaldi.data_dir import DataDir

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import speechcommands_corpus as corpora
from recipe_runs import ROOT, assert_refused, call, copy_recipe, run, served

RECIPE = ROOT / "egs/speechcommands"
sys.path.insert(0, str(RECIPE / "local"))

import silence  # noqa: E402
import speech_commands  # noqa: E402

sys.path.remove(str(RECIPE / "local"))

SHORT = "steps: 4\nwarmup: 1\nbatch_size: 4\nthreads: 1\nnum_workers: 0\ntensorboard: false\n"
RUN = (
    "runs:\n  - {task: %s, train: train, valid: valid, test: test, config: finetune_tiny.yaml, "
    "systems: [pretrained, baseline]}\n"
)
CONFIGS = {
    "fbank.yaml": "sample_rate: 16000\nnum_mel_bins: 16\n",
    "pretrain.yaml": (
        "embed_dim: 16\ndepth: 1\nheads: 2\npatch: [4, 0]\nglobal_frames: 16\nhead_hidden: 16\n"
        "short_clips: skip\nhead_bottleneck: 8\nprototypes: 12\n" + SHORT
    ),
    "finetune_tiny.yaml": "crop_frames: 64\nbalance_classes: true\n" + SHORT,
    "runs_v2_35.yaml": RUN % "V2-35",
    "runs_v1_12.yaml": RUN % "V1-12",
    "fbank_words.yaml": "sample_rate: 16000\nnum_mel_bins: 16\ncmn_window: 600\n",
    "runs_v1_words.yaml": "draws: 3\n" + (RUN % "V1-words").replace("train: train", 'train: "train_10pct_{draw}"'),
}
CONFIGS["pretrain_words.yaml"] = CONFIGS["pretrain.yaml"]
STAGES = ("download", "data", "features", "stats", "pretrain", "finetune", "score", "report")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both versions and the test set of the first."""
    folder = tmp_path_factory.mktemp("speech commands")
    for version in ("0.01", "0.02"):
        corpora.make(folder, version)
    corpora.make_test_set(folder)
    return folder


class Mirror(NamedTuple):
    """An address with the archives, and a table of their sha256."""

    address: str
    table: Path


@pytest.fixture(scope="module")
def mirror(corpus: Path, tmp_path_factory: pytest.TempPathFactory, tar_archives: None) -> Iterator[Mirror]:
    """The archives, served from this machine."""
    folder = tmp_path_factory.mktemp("archives")
    rows = []
    for unpacked in sorted(corpus.iterdir()):
        path = corpora.archive(unpacked, folder)
        rows.append(f"{path.name}\t{hashlib.sha256(path.read_bytes()).hexdigest()}\n")
    (folder / "archives.tsv").write_text("".join(rows))
    with served(folder) as address:
        yield Mirror(address, folder / "archives.tsv")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, mirror: Mirror) -> Path:
    """A copy of the recipe that has run all tasks to the end from the served archives."""
    recipe = copy_recipe("speechcommands", tmp_path_factory.mktemp("commands"), CONFIGS)
    for task in ("v2_35", "v1_12", "v1_words"):
        run(recipe, *command(mirror, task))
    return recipe


def command(mirror: Mirror, task: str) -> list[str]:
    where = ["--mirrors", f"/nowhere {mirror.address}", "--archives", str(mirror.table)]
    return ["./run.sh", "--task", task, *where, "--check-counts", "false", "--nj", "2"]


@pytest.mark.parametrize(
    ("task", "labels", "sizes"),
    [
        ("v2_35", list(speech_commands.WORDS["0.02"]), {"train": 70, "valid": 35, "test": 35}),
        # 20 + 40 unknown + 2 silence; 10 + 1 + 1; the test set
        ("v1_12", [*speech_commands.COMMANDS, "_unknown_", "_silence_"], {"train": 62, "valid": 12, "test": 14}),
        ("v1_words", list(speech_commands.WORDS["0.01"]), {"train": 60, "valid": 30, "test": 30}),
    ],
)
def test_every_stage_leaves_what_it_should(recipe: Path, task: str, labels: list[str], sizes: dict[str, int]) -> None:
    sets = {name: DataDir(str(recipe / "data" / task / name)) for name in sizes}
    assert {name: len(data.utts) for name, data in sets.items()} == sizes
    assert all(list(data.labels) == labels for data in sets.values())
    speakers = [set(data.spk2utt) for data in sets.values()]
    noises = {f"noise_{name}" for name in corpora.NOISES}
    assert not (speakers[0] & speakers[1]) - noises
    assert not (speakers[0] | speakers[1]) & speakers[2]
    config = read_yaml(recipe / f"exp/{task}/pretrain_0/config.yaml")
    assert config["data_dir"][0] == f"data/{task}/train", "nothing of the other sets"
    (path,) = recipe.glob(f"exp/{task}/V*pretrained*/test/metrics.json")
    assert json.loads(path.read_text())["clips"] == sizes["test"]
    log = next(recipe.glob(f"exp/{task}/V*pretrained*/train.log")).read_text()
    assert "kept: the weights after update" in log, "chosen on the validation set"


def test_the_report_has_all_tasks_beside_the_published_numbers(recipe: Path) -> None:
    table = (recipe / "exp/v1_words/RESULTS.md").read_text()
    for word in ("V1-12", "V2-35", "V1-words", "98.9", "98.2", *(f"on {count} test clips" for count in (35, 14, 30))):
        assert word in table, word
    assert "not run" not in table


def test_a_second_run_does_nothing(recipe: Path, mirror: Mirror) -> None:
    output = call(recipe, *command(mirror, "v1_12"), "--status").stdout
    assert [line.split()[1] for line in output.splitlines()] == list(STAGES)
    assert all(line.endswith(" finished") for line in output.splitlines()), output


def test_silence_is_cut_from_the_noise_and_is_not_heard_twice(recipe: Path) -> None:
    """Features of an excerpt have a second's frames; training and validation take other parts of each recording."""
    ends: dict[str, float] = {}
    for name in ("train", "valid"):
        data = DataDir(str(recipe / "data/v1_12" / name))
        for utt in (utt for utt, names in data.utt2label.items() if "_silence_" in names):
            segment = data.segments[utt]
            seconds = corpora.NOISES[segment.recording.removeprefix("noise_")]
            assert segment.end - segment.start == pytest.approx(1.0)
            assert data.utt2num_frames[utt] == 98
            assert (segment.end <= 0.9 * seconds + 1e-3) == (name == "train")
            assert (segment.start >= 0.9 * seconds - 1e-3) == (name == "valid")
            ends[utt] = segment.end
    assert len(ends) == 3


def test_official_hashes_are_those_of_the_public_loaders() -> None:
    """As torchaudio (both versions) and the SUPERB loader of Hugging Face (test set) state them."""
    rows = dict(line.split("\t") for line in (RECIPE / "local/archives.tsv").read_text().splitlines())
    assert rows["speech_commands_v0.01.tar.gz"].startswith("743935421bb51ccc")
    assert rows["speech_commands_v0.02.tar.gz"].startswith("af14739ee7dc3114")
    assert rows["speech_commands_test_set_v0.01.tar.gz"].startswith("baa084f6b62c91de")
    assert all(len(sha256) == 64 for sha256 in rows.values())


# --- the hashing rule ------------------------------------------------------------------------------------------------

# The first lines of the official lists of versions 0.01 and 0.02; the last two are in neither.
LISTED = {
    "valid": ["8b775397_nohash_0.wav", "2643992f_nohash_1.wav", "a69b9b3e_nohash_0.wav", "439c84f4_nohash_1.wav"],
    "test": ["2aa787cf_nohash_0.wav", "ffa76c4a_nohash_0.wav", "bb05582b_nohash_3.wav", "97f4c236_nohash_2.wav"],
    "train": ["e91d173e_nohash_1.wav", "9ce7a419_nohash_0.wav"],
}


@pytest.mark.parametrize(("part", "name"), [(part, name) for part, names in LISTED.items() for name in names])
def test_the_hashing_rule_gives_the_official_lists(part: str, name: str) -> None:
    assert speech_commands.partition(name) == part


@given(st.text("0123456789abcdef", min_size=8, max_size=8), st.integers(0, 9))
def test_the_hashing_rule_in_whole_numbers(speaker: str, number: int) -> None:
    """hash / (2^27 - 1) < 10 %, < 20 %, written without floating point; the number of the clip has no influence."""
    hashed = int.from_bytes(hashlib.sha1(speaker.encode()).digest(), "big") & (2**27 - 1)
    tenth = 10 * hashed // (2**27 - 1)
    expected = {0: "valid", 1: "test"}.get(tenth, "train")
    assert speech_commands.partition(f"{speaker}_nohash_{number}.wav") == expected


def test_the_rule_takes_a_tenth_each() -> None:
    parts = [speech_commands.partition(f"{number:08x}_nohash_0.wav") for number in range(20000)]
    assert parts.count("valid") == pytest.approx(2000, abs=150)
    assert parts.count("test") == pytest.approx(2000, abs=150)


# --- unknown and silence ---------------------------------------------------------------------------------------------


@given(st.integers(1, 400), st.sampled_from(["train", "valid"]))
def test_excerpts_are_spread_over_all_noise(count: int, part: str) -> None:
    noises = [("noise_a", Path("a.wav"), 61.3), ("noise_b", Path("b.wav"), 20.0)]
    first, last = silence.PARTS[part]
    excerpts = silence.cut(noises, part, count)
    assert len({excerpt.utterance for excerpt in excerpts}) == count
    for excerpt in excerpts:
        seconds = {"noise_a": 61.3, "noise_b": 20.0}[excerpt.recording]
        assert first * seconds - 1e-3 <= excerpt.start <= last * seconds - 1.0 + 1e-3
    if count > 100:
        rooms = [(last - first) * seconds - 1.0 for _, _, seconds in noises]
        share = sum(excerpt.recording == "noise_a" for excerpt in excerpts) / count
        assert share == pytest.approx(rooms[0] / sum(rooms), abs=0.02)


def test_unknown_words_can_be_as_many_as_in_the_test_set(corpus: Path, tmp_path: Path) -> None:
    options = ["--task", "v1_12", "--check-counts", "false", "--unknown-percent", "10", "--silence-percent", "50"]
    done = prepare(tmp_path, corpus, *options)
    assert done.returncode == 0, done.stderr
    labels = [name for names in DataDir(str(tmp_path / "data/v2_35/train")).utt2label.values() for name in names]
    assert len(labels) == 20 + 2 + 10
    assert labels.count("_unknown_") == 2
    assert labels.count("_silence_") == 10
    again = prepare(tmp_path, corpus, *options, "--data", "again")
    assert again.returncode == 0
    assert (tmp_path / "again/train/utt2label").read_text() == (tmp_path / "data/v2_35/train/utt2label").read_text()


def test_the_choice_of_unknown_words_depends_on_names_alone() -> None:
    clips = [speech_commands.Clip(Path(f"{n:08x}_nohash_0.wav"), "bed", f"{n:08x}", "0") for n in range(100)]
    some, more = speech_commands.choose(clips, 10), speech_commands.choose(reversed(clips), 20)
    assert set(some) < set(more)


# --- the words that are there ----------------------------------------------------------------------------------------


def words_only(corpus: Path, folder: Path, words: tuple[str, ...]) -> Path:
    """A copy of version 1 with these words and the official lists, which name the others too."""
    copy = folder / "few/speech_commands_v0.01"
    shutil.copytree(corpus / "speech_commands_v0.01", copy)
    for word in (*corpora.V1, "_background_noise_"):
        if word not in words:
            shutil.rmtree(copy / word)
    return copy


def test_the_words_that_are_there_without_copies(corpus: Path, tmp_path: Path) -> None:
    """The official parts of three words; a copy leaves, and both of two that contradict one another."""
    copy = words_only(corpus, tmp_path, ("bed", "cat", "two"))
    first = "bed/9ce7a419_nohash_0.wav"
    shutil.copy(copy / first, copy / "bed/9ce7a419_nohash_1.wav")  # said twice, kept once
    shutil.copy(copy / "cat/e91d173e_nohash_0.wav", copy / "two/e91d173e_nohash_7.wav")  # cat or two?
    done = prepare(tmp_path, copy.parent, "--task", "v1_words", "--data", "data")
    assert done.returncode == 0, done.stderr
    assert "14 clips, 3 of them copies of others, which are left out" in done.stdout
    sets = {name: DataDir(str(tmp_path / "data" / name)) for name in ("all", "train", "valid", "test")}
    assert {name: len(data.utts) for name, data in sets.items()} == {"all": 11, "train": 5, "valid": 3, "test": 3}
    assert list(sets["train"].labels) == ["bed", "cat", "two"]
    assert list(sets["train"].utt2label) == [
        "9ce7a419-bed-0",
        "9ce7a419-cat-0",
        "9ce7a419-two-0",
        "e91d173e-bed-0",
        "e91d173e-two-0",
    ]
    assert all(speech_commands.partition(f"{spk}_nohash_0.wav") == "test" for spk in sets["test"].spk2utt)


def test_few_labels_are_nested_draws_with_every_word() -> None:
    clips = [
        speech_commands.Clip(Path(f"{word}/{n:08x}_nohash_0.wav"), word, f"{n:08x}", "0")
        for word, count in (("bed", 1000), ("cat", 30))
        for n in range(count)
    ]
    draws = [speech_commands.few_labels(clips, 1, draw) for draw in range(3)]
    assert [collections.Counter(clip.word for clip in draw) for draw in draws] == [{"bed": 10, "cat": 1}] * 3
    assert len(set(map(tuple, draws))) == 3
    assert set(draws[1]) < set(speech_commands.few_labels(reversed(clips), 10, 1)), "part of more, in any order"


def test_speakers_with_twenty_clips_are_told_apart() -> None:
    clips = [
        speech_commands.Clip(Path(f"bed/{speaker}_nohash_{n}.wav"), "bed", speaker, str(n))
        for speaker, count in (("a", 20), ("b", 19), ("c", 33))
        for n in range(count)
    ]
    draws = [speech_commands.speakers_apart(clips, draw) for draw in range(2)]
    for parts in draws:
        counts = {part: collections.Counter(clip.speaker for clip in said) for part, said in parts.items()}
        assert counts == {"train": {"a": 12, "c": 21}, "valid": {"a": 4, "c": 6}, "test": {"a": 4, "c": 6}}
        assert len({clip for said in parts.values() for clip in said}) == 53, "a clip is in one part"
    assert set(draws[0]["test"]) != set(draws[1]["test"])
    assert not speech_commands.speakers_apart([clip for clip in clips if clip.speaker != "c"], 0)


def test_a_single_word_is_no_task(corpus: Path, tmp_path: Path) -> None:
    copy = words_only(corpus, tmp_path, ("bed",))
    assert_refused(prepare(tmp_path, copy, "--task", "v1_words"), "expected clips of two words at least, found none of")


# --- what is wrong with a copy of the corpus -------------------------------------------------------------------------


def prepare(folder: Path, corpus: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return call(folder, sys.executable, str(RECIPE / "local/prepare.py"), "--corpus", str(corpus), *options)


def sound(path: Path, rate: int = 16000, seconds: float = 1.0, channels: int = 1) -> None:
    soundfile.write(path, np.zeros((round(rate * seconds), channels), np.float32), rate)


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


CLIP = "yes/e91d173e_nohash_0.wav"
DAMAGE_V2 = {
    "no lists": (
        lambda m: [(m / name).unlink() for name in ("validation_list.txt", "testing_list.txt")],
        "expected validation_list.txt and testing_list.txt, found neither",
    ),
    "one list": (lambda m: (m / "testing_list.txt").unlink(), r"testing_list.txt, found \['validation_list.txt'\]"),
    "a listed clip is gone": (
        lambda m: (m / "yes/8b775397_nohash_0.wav").unlink(),
        r"validation_list.txt:1: .*found 'yes/8b775397_nohash_0.wav', which is not there",
    ),
    "a clip in both lists": (
        lambda m: edit(m / "testing_list.txt", lambda t: t + "\nyes/8b775397_nohash_0.wav"),
        r"testing_list.txt:36: yes/8b775397_nohash_0.wav is listed twice",
    ),
    "a list against the rule": (
        lambda m: edit(m / "testing_list.txt", lambda t: t + "\n" + CLIP),
        "testing_list.txt:36: .*hashing rule puts into test, found yes/e91d173e_nohash_0.wav of train",
    ),
    "a list cut short": (
        lambda m: edit(m / "testing_list.txt", lambda t: "\n".join(t.splitlines()[:-2])),
        "found 2 that are in neither, such as learn/2aa787cf",
    ),
    "an unknown word": (
        lambda m: shutil.copytree(m / "house", m / "hause"),
        "hause: unknown word for version 0.02: did you mean 'house'",
    ),
    "a word is gone": (lambda m: shutil.rmtree(m / "wow"), "expected clips of 35 words, found none of wow"),
    "a malformed name": (
        lambda m: (m / CLIP).rename(m / "yes/me.wav"),
        "yes/me.wav: expected a name such as 8b775397_nohash_0.wav",
    ),
    "zero length": (lambda m: sound(m / CLIP, seconds=0), "e91d173e-yes-0.*no samples"),
    "empty": (lambda m: (m / CLIP).write_bytes(b""), "e91d173e-yes-0.*empty"),
    "another rate": (lambda m: sound(m / CLIP, rate=8000), "expected one channel at 16000 Hz, found 1 at 8000 Hz"),
    "stereo": (lambda m: sound(m / CLIP, channels=2), "expected one channel at 16000 Hz, found 2 at 16000 Hz"),
}


@pytest.mark.parametrize("kind", DAMAGE_V2)
def test_a_wrong_copy_is_refused(corpus: Path, tmp_path: Path, kind: str) -> None:
    damage, expected = DAMAGE_V2[kind]
    copy = tmp_path / "speech_commands_v0.02"
    shutil.copytree(corpus / copy.name, copy)
    damage(copy)
    assert_refused(prepare(tmp_path, tmp_path, "--check-counts", "false"), expected)
    assert not (tmp_path / "data").exists()


DAMAGE_V1 = {
    "no noise": (lambda c: shutil.rmtree(c / "speech_commands_v0.01/_background_noise_"), "recordings of noise"),
    "noise of another rate": (
        lambda c: sound(c / "speech_commands_v0.01/_background_noise_/white_noise.wav", 8000, 30),
        "white_noise.wav: expected 16000 Hz, found 8000 Hz",
    ),
    "short noise": (
        lambda c: sound(c / "speech_commands_v0.01/_background_noise_/white_noise.wav", 16000, 5),
        "white_noise.wav: expected at least 20 s of noise, found 5.0 s",
    ),
    "no test set": (
        lambda c: shutil.rmtree(c / "speech_commands_test_set_v0.01"),
        r"expected speech_commands_test_set_v0.01 .* found \['speech_commands_v0.01'\]",
    ),
    "test set without silence": (
        lambda c: shutil.rmtree(c / "speech_commands_test_set_v0.01/_silence_"),
        "expected the folders _silence_, _unknown_, .*found _unknown_, down",
    ),
    "test set with other names": (
        lambda c: (c / "speech_commands_test_set_v0.01/yes/2aa787cf_nohash_0.wav").rename(
            c / "speech_commands_test_set_v0.01/yes/yes_2aa787cf_nohash_0.wav"
        ),
        "yes_2aa787cf_nohash_0.wav: expected a name such as 26b28ea7_nohash_0.wav",
    ),
    "training speakers in the test set": (
        lambda c: shutil.copy(
            c / "speech_commands_v0.01/yes/e91d173e_nohash_0.wav",
            c / "speech_commands_test_set_v0.01/yes/e91d173e_nohash_0.wav",
        ),
        "expected no speaker in test and train, found 1",
    ),
    "words of version 2": (
        lambda c: shutil.copytree(c / "speech_commands_v0.01/cat", c / "speech_commands_v0.01/visual"),
        "visual: unknown word for version 0.01",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE_V1)
def test_a_wrong_copy_for_twelve_classes_is_refused(corpus: Path, tmp_path: Path, kind: str) -> None:
    damage, expected = DAMAGE_V1[kind]
    for name in ("speech_commands_v0.01", "speech_commands_test_set_v0.01"):
        shutil.copytree(corpus / name, tmp_path / "copy" / name)
    damage(tmp_path / "copy")
    assert_refused(prepare(tmp_path, tmp_path / "copy", "--task", "v1_12", "--check-counts", "false"), expected)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("v2_35", "speech_commands_v0.02: expected 84843 train clips, found 70"),
        ("v1_12", "speech_commands_v0.01: expected 51088 train clips, found 60"),
    ],
)
def test_an_incomplete_corpus_is_refused(corpus: Path, tmp_path: Path, task: str, expected: str) -> None:
    assert_refused(prepare(tmp_path, corpus, "--task", task), f"{expected}; .*--check-counts false")


def test_the_folder_itself_is_accepted_too(corpus: Path, tmp_path: Path) -> None:
    """Version 1 then finds the test set beside it."""
    done = prepare(tmp_path, corpus / "speech_commands_v0.01", "--task", "v1_12", "--check-counts", "false")
    assert done.returncode == 0, done.stderr
    assert "62 clips of 12 classes, 40 _unknown_, 2 _silence_" in done.stdout
    assert_refused(prepare(tmp_path, tmp_path), "expected speech_commands_v0.02 with folders of words in it")


def test_a_wrong_hash_keeps_nothing(mirror: Mirror, tmp_path: Path) -> None:
    recipe = copy_recipe("speechcommands", tmp_path, {})
    done = call(recipe, "./run.sh", "--mirrors", mirror.address, "--stop-stage", "download")
    assert done.returncode != 0
    assert "expected af14739ee7dc3114" in done.stderr
    assert list((recipe / "downloads").iterdir()) == []


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    done = call(copy_recipe("speechcommands", tmp_path, {}), "./run.sh", "--task", "v3")
    assert done.returncode == 2
    assert "expected v2_35, v1_12 or v1_words, found 'v3'" in done.stderr
