"""egs/voxceleb1 from the lists to the table, on a small corpus in the official layout; and its checks of the corpus."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asit.config import parse, read_yaml, to_dict
from asit.kaldi.data_dir import DataDir
from asit.models import model_file
from asit.recipes.job_list import line
from asit.recipes.plan import Settings, options_of_runs
from asit.runs.finetune import Settings as FinetuneSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import voxceleb1_corpus
from recipe_runs import ROOT, assert_refused, call, copy_recipe, run, served
from voxceleb1_corpus import DEV, TEST

RECIPE = ROOT / "egs/voxceleb1"
TRAINING = "batch_size: 4\nthreads: 1\nnum_workers: 0\ntensorboard: false\nwarmup: 1\n"
CONFIGS = {
    "fbank.yaml": "sample_rate: 16000\nnum_mel_bins: 16\n",
    "pretrain.yaml": (
        "embed_dim: 16\ndepth: 1\nheads: 2\npatch: [16, 0]\nglobal_frames: 64\nhead_hidden: 16\n"
        f"head_bottleneck: 8\nprototypes: 12\nsteps: 4\n{TRAINING}"
    ),
    "finetune_tiny.yaml": f"crop_frames: 96\nsteps: 6\n{TRAINING}",
    "runs_tiny.yaml": (RECIPE / "conf/runs.yaml")
    .read_text()
    .replace("_m2d", "_tiny")
    .replace("[pretrained, scratch, knn]", "[pretrained, probe, knn]")
    .replace("[pretrained, scratch]", "[pretrained]"),
}
STAGES = ("lists", "data", "features", "stats", "pretrain", "finetune", "score", "report")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return voxceleb1_corpus.make(tmp_path_factory.mktemp("vox celeb"))


@pytest.fixture(scope="module")
def address(corpus: Path) -> Iterator[str]:
    """The lists, served from this machine."""
    with served(corpus / "meta") as host:
        yield host


def run_command(corpus: Path, address: str) -> list[str]:
    sha256 = hashlib.sha256((corpus / "meta/veri_test.txt").read_bytes()).hexdigest()
    options = ["--veri-test-sha256", sha256, "--check-counts", "false", "--runs", "conf/runs_tiny.yaml"]
    return ["./run.sh", "--corpus", str(corpus), "--sources", f"/nowhere/else {address}", "--nj", "2", *options]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, corpus: Path, address: str) -> Path:
    """A copy of the recipe that has run to its end."""
    recipe = copy_recipe("voxceleb1", tmp_path_factory.mktemp("voxceleb1"), CONFIGS)
    run(recipe, *run_command(corpus, address))
    return recipe


def test_the_sets_are_the_official_ones(recipe: Path, corpus: Path) -> None:
    split = dict(reversed(line.split()) for line in (corpus / "meta/iden_split.txt").read_text().splitlines())
    for name, number in (("train", "1"), ("valid", "2"), ("test", "3")):
        data = DataDir(str(recipe / f"data/iden_{name}"))
        assert set(data.utts) == {clip[:-4].replace("/", "-") for clip, own in split.items() if own == number}
        assert list(data.labels) == sorted({*DEV, *TEST})
        assert all(data.utt2label[utt] == (data.utt2spk[utt],) == (utt[:7],) for utt in data.utts)
        assert all(Path(path).is_file() for path in data.wav_scp.values())
        assert min(data.utt2num_frames.values()) > 60
    assert "id10001--0abcdefghi-00001" in DataDir(str(recipe / "data/iden_train")).utts


def test_verification_has_met_no_speaker_of_the_trials(recipe: Path) -> None:
    for name in ("dev_train", "dev_valid"):
        data = DataDir(str(recipe / "data" / name))
        assert set(data.spk2utt) == set(DEV)
        assert list(data.labels) == sorted(DEV)
    tried = DataDir(str(recipe / "data/veri_test"))
    assert set(tried.spk2utt) == set(TEST)
    assert not tried.has("utt2label")
    for path in recipe.glob("exp/verification*/config.yaml"):
        config = read_yaml(path)
        assert (config["train_dir"][0], config["valid_dir"][0]) == ("data/dev_train", "data/dev_valid")
    assert read_yaml(recipe / "exp/pretrain_0/config.yaml")["data_dir"][0] == "data/dev_train"


def test_every_system_is_scored(recipe: Path) -> None:
    found = {}
    for path in recipe.glob("exp/*/*/metrics.json"):
        record = json.loads(path.read_text())
        found[path.parent.parent.name, path.parent.name] = record
    systems = {"pretrained", "probe", "knn"}
    assert {key for key in found if key[1] == "iden_test"} == {
        (f"identification_all_{system}_0", "iden_test") for system in systems
    }
    assert {key for key in found if key[1] != "iden_test"} == {
        ("verification_all_pretrained_0", "veri_test"),
        ("verification_all_pretrained_0", "veri_test2"),
    }
    trials = len(voxceleb1_corpus.all_trials())
    for (_, test), record in found.items():
        expected = {"iden_test": 15, "veri_test": trials, "veri_test2": trials - 2}[test]
        assert (record["clips"], record["expected"]) == (expected, expected)
        assert record["metric"] == ("accuracy" if test == "iden_test" else "eer")
    assert found["identification_all_knn_0", "iden_test"]["tags"]["system"] == "k nearest neighbours"
    scores = (recipe / "exp/verification_all_pretrained_0/veri_test/scores").read_text().splitlines()
    assert [line.split(maxsplit=1)[1] + "\n" for line in scores] == voxceleb1_corpus.all_trials()


def test_a_probe_leaves_the_backbone_alone(recipe: Path) -> None:
    before, _ = model_file.load(recipe / "exp/pretrain_0/backbone.safetensors")
    for system, same in (("probe", True), ("pretrained", False)):
        after, _ = model_file.load(recipe / f"exp/identification_all_{system}_0/model.safetensors")
        name = "blocks.0.mlp.fc1.weight"
        assert torch.equal(before[name], after[f"backbone.{name}"]) is same


def test_the_table_has_both_tasks_and_the_published_numbers(recipe: Path) -> None:
    table = (recipe / "exp/RESULTS.md").read_text()
    for words in ("## identification", "## verification (veri_test)", "## verification (veri_test2)", "96.3", "linear"):
        assert words in table


def test_a_second_run_does_nothing(recipe: Path, corpus: Path, address: str) -> None:
    output = call(recipe, *run_command(corpus, address), "--status").stdout
    assert [line.split()[1] for line in output.splitlines()] == list(STAGES)
    assert all(line.endswith(" finished") for line in output.splitlines()), output


def test_the_results_that_are_committed_say_that_nothing_was_run() -> None:
    text = (RECIPE / "RESULTS.md").read_text()
    assert text.count("not run: needs the corpus") == 2
    assert "ASiT" in text


def prepare(corpus: Path, data: Path, *options: str, lists: Path | None = None, counts: str = "false"):
    """local/prepare.py."""
    words = ["--lists", str(lists or corpus / "meta"), "--data", str(data), "--check-counts", counts]
    return call(RECIPE, "local/prepare.py", "--corpus", str(corpus), *words, *options)


@pytest.fixture
def copy(corpus: Path, tmp_path: Path) -> Path:
    """A copy of the corpus to spoil."""
    return Path(shutil.copytree(corpus, tmp_path / "copy"))


@pytest.mark.parametrize("layout", ["wav", "vox1/wav", ".", "dev/wav"])
def test_other_layouts_and_formats_give_the_same(recipe: Path, corpus: Path, tmp_path: Path, layout: str) -> None:
    """dev and test merged; flac in place of wav."""
    merged = tmp_path / "merged" / layout
    for part in ("vox1_dev_wav", "vox1_test_wav"):
        shutil.copytree(corpus / part / "wav", merged, dirs_exist_ok=True)
    if layout == "wav":
        for path in merged.rglob("*.wav"):
            samples, rate = soundfile.read(path)
            soundfile.write(path.with_suffix(".flac"), samples, rate)
            path.unlink()
    done = prepare(tmp_path / "merged", tmp_path / "data", lists=corpus / "meta")
    assert done.returncode == 0, done.stderr
    for name in ("iden_train", "iden_test", "dev_train", "veri_test"):
        found, expected = (DataDir(str(folder / name)) for folder in (tmp_path / "data", recipe / "data"))
        assert found.utt2spk == expected.utt2spk
    paths = DataDir(str(tmp_path / "data/all")).wav_scp.values()
    assert {Path(path).suffix for path in paths} == {".flac" if layout == "wav" else ".wav"}


def test_the_official_numbers_are_asked_for(corpus: Path, tmp_path: Path) -> None:
    message = r"iden_split.txt: expected 138361, 6904 and 8251 clips of 1251 speakers, found 30, 15 and 15 of 5"
    assert_refused(prepare(corpus, tmp_path, counts="true"), message)


def test_official_numbers_of_the_lists_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted: clips of each set and speakers, trials of both kinds and their speakers."""
    monkeypatch.syspath_prepend(RECIPE / "local")
    import official

    split = {f"id{10001 + i % 1251}/video000000/{i // 1251:05d}.wav": "train" for i in range(138361)}
    split |= {f"id{10001 + i % 1251}/video000001/{i // 1251:05d}.wav": "valid" for i in range(6904)}
    split |= {f"id{10001 + i % 1251}/video000002/{i // 1251:05d}.wav": "test" for i in range(8251)}
    assert len(split) == 148642 + 4874, "development and test clips of the corpus"
    official.check_split("iden_split.txt", split)
    official.check_trials("x/veri_test.txt", 18860, 37720 - 18860, 40)
    official.check_trials("veri_test2.txt", 18802, 37611 - 18802, 40)
    with pytest.raises(official.AsitError, match=r"expected 18860 trials of one speaker .* found 18859"):
        official.check_trials("veri_test.txt", 18859, 18860, 40)
    del split["id10001/video000002/00000.wav"]
    with pytest.raises(official.AsitError, match="found 138361, 6904 and 8250 of 1251"):
        official.check_split("iden_split.txt", split)


def test_wrong_layouts_are_named(corpus: Path, tmp_path: Path) -> None:
    lists = corpus / "meta"
    assert_refused(prepare(tmp_path / "nothing", tmp_path, lists=lists), "nothing: no such folder; give the one")
    done = call(RECIPE, "local/prepare.py", "--corpus", "", "--lists", str(lists), "--check-counts", "false")
    assert_refused(done, "no corpus given: .* --corpus")
    (tmp_path / "first/wav/A.J._Buckley").mkdir(parents=True)
    message = r"expected folders id10001 to id11251 .* found A.J._Buckley, wav; the first release, whose folders"
    assert_refused(prepare(tmp_path / "first", tmp_path, lists=lists), message)
    (tmp_path / "empty").mkdir()
    assert_refused(prepare(tmp_path / "empty", tmp_path, lists=lists), "expected folders id10001 .* found no folders")


def test_missing_clips_are_counted_and_with_permission_left_out(copy: Path, tmp_path: Path) -> None:
    gone = copy / "vox1_dev_wav/wav/id10002/1zcIwhmdeo4/00002.wav"
    gone.rename(gone.with_suffix(".m4a"))
    message = (
        r"expected 60 clips, 1 are missing, the first id10002/1zcIwhmdeo4/00002.wav; 1 are there in a format.*ffmpeg"
    )
    assert_refused(prepare(copy, tmp_path / "data"), message)
    done = prepare(copy, tmp_path / "data", "--max-missing", "0.05")
    assert done.returncode == 0, done.stderr
    assert "59 of 60 listed clips" in done.stdout
    for name in ("all", "iden_train", "dev_train"):
        listed = (tmp_path / "data" / name / "missing_utts").read_text()
        assert listed == "id10002-1zcIwhmdeo4-00002 not in the corpus\n"
    assert not (tmp_path / "data/iden_test/missing_utts").exists()
    assert len(DataDir(str(tmp_path / "data/iden_train")).utts) == 29


def test_what_no_list_names_is_counted_and_not_used(copy: Path, tmp_path: Path) -> None:
    extra = copy / "vox1_dev_wav/wav/id10004/1zcIwhmdeo4"
    extra.mkdir(parents=True)
    soundfile.write(extra / "00001.wav", np.zeros(16000), 16000)
    done = prepare(copy, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert "60 of 60 listed clips; 1 others are not used" in done.stdout
    assert not [utt for utt in DataDir(str(tmp_path / "data/all")).utts if utt.startswith("id10004")]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("iden_split.txt", ("1 id10001", "4 id10001"), r"iden_split.txt:1: expected '<set> id10001/<video>/00001.wav'"),
        ("iden_split.txt", ("1 id10001", "1 Adam"), r"iden_split.txt:1: expected .* found '1 Adam/"),
        ("iden_split.txt", ("00002.wav", "00001.wav"), r"iden_split.txt:2: .*00001.wav is listed twice"),
        ("iden_split.txt", ("3 id10003", "3 id10099"), r"speaker id10099 of set test has no clip in set train"),
        (
            "veri_test.txt",
            ("id10270/-0abcdefghi/00001", "id10270/-0abcdefghi/00009"),
            r"veri_test.txt:1: expected clips of",
        ),
        ("veri_test2.txt", ("1 id10270", "2 id10270"), r"veri_test2.txt:1: expected '1 clip clip'"),
    ],
)
def test_malformed_lists_are_named(
    copy: Path, tmp_path: Path, name: str, change: tuple[str, str], message: str
) -> None:
    path = copy / "meta" / name
    path.write_text(path.read_text().replace(*change, 1))
    assert_refused(prepare(copy, tmp_path / "data"), message)


def test_a_missing_list_is_named(copy: Path, tmp_path: Path) -> None:
    (copy / "meta/veri_test2.txt").unlink()
    assert_refused(prepare(copy, tmp_path / "data"), r"veri_test2.txt: no such list; stage lists fetches it")


def test_an_empty_file_and_one_without_samples_are_named(copy: Path, tmp_path: Path) -> None:
    clip = copy / "vox1_test_wav/wav/id10309/1zcIwhmdeo4/00001.wav"
    clip.write_bytes(b"")
    assert_refused(prepare(copy, tmp_path), r"id10309/1zcIwhmdeo4/00001.wav: the file is empty \(0 bytes\)")
    soundfile.write(clip, np.zeros(0), 16000)
    assert_refused(prepare(copy, tmp_path), r"'id10309-1zcIwhmdeo4-00001': .*: the file holds no samples")


def test_another_rate_is_refused_or_converted(copy: Path, tmp_path: Path) -> None:
    for path in copy.rglob("*.wav"):
        samples, _ = soundfile.read(path)
        soundfile.write(path, samples[::2], 8000)
    recipe = copy_recipe("voxceleb1", tmp_path, CONFIGS)
    words = ["./run.sh", "--corpus", str(copy), "--lists", str(copy / "meta"), "--check-counts", "false"]
    words += ["--stop-stage", "features", "--nj", "1"]
    done = call(recipe, *words)
    assert done.returncode != 0
    assert "expected 16000 Hz, found 8000 Hz" in done.stdout + done.stderr
    run(recipe, *words, "--resample", "true")


def test_a_wrong_list_from_the_network_is_not_kept(corpus: Path, address: str, tmp_path: Path) -> None:
    recipe = copy_recipe("voxceleb1", tmp_path, CONFIGS)
    done = call(recipe, "./run.sh", "--sources", address, "--stop-stage", "lists")
    assert done.returncode != 0
    assert re.search(r"veri_test.txt: .*sha256.*303b2b65", done.stdout + done.stderr)
    assert not (recipe / "downloads/lists/veri_test.txt").exists()


def tuned_by(runs: str) -> list[FinetuneSettings]:
    """Settings of the fine-tuning runs."""
    conf = RECIPE / "conf"
    settings = Settings(runs=str(conf / runs), pretrain_config=str(conf / "pretrain.yaml"), init="b.safetensors")
    lines = [line("asit-finetune", options) for options in options_of_runs(settings)["finetune"]]
    return [parse(FinetuneSettings, shlex.split(text)[1:]) for text in lines]


def test_the_configurations_are_the_published_ones() -> None:
    tuned = tuned_by("runs.yaml")
    assert [(run.train_dir, run.valid_dir) for run in tuned[::2]] == [
        ("data/iden_train", "data/iden_valid"),
        ("data/dev_train", "data/dev_valid"),
    ]
    m2d = tuned[0]
    assert (m2d.crop_frames, m2d.head.pooling, m2d.train.epochs, m2d.train.batch_size) == (821, "mean", 50, 64)
    augmentation = m2d.tuner.augmentation
    assert (augmentation.spec_augment, augmentation.mixup[0]) == ((30, 48), 0.0)
    assert m2d.train.lr_of_step(2161, 64)[5 * 2161] == pytest.approx(5e-4)
    ssast, _, probe, *_ = tuned_by("runs_ssast.yaml")
    assert to_dict(probe)["freeze_backbone"] is True
    assert ssast.train.total_steps(4323) == 40000
    assert ssast.train.lr_of_step(4323, 32)[0] == ssast.train.lr_of_step(4323, 32)[39999] == 1e-4
