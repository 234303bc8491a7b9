"""egs/audioset from the lists to the table, on a small corpus in the official layout; its checks of lists and audio."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asit.config import read_yaml
from asit.kaldi.ark import read_matrix
from asit.kaldi.data_dir import DataDir

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import audioset_corpus
from recipe_runs import ROOT, assert_refused, call, copy_recipe, run, served

RECIPE = ROOT / "egs/audioset"
MODEL = (
    "embed_dim: 16\ndepth: 1\nheads: 2\npatch: [16, 0]\nglobal_frames: 64\nhead_hidden: 16\n"
    "head_bottleneck: 8\nprototypes: 12\nsteps: 4\nwarmup: 1\nbatch_size: 4\n"
)
QUICK = "threads: 1\nnum_workers: 0\ntensorboard: false\n"
CONFIGS = {
    "fbank_tiny.yaml": "sample_rate: 16000\nnum_mel_bins: 128\n",
    "pretrain_tiny.yaml": MODEL + QUICK,
    "finetune_tiny_2m.yaml": (
        "task: tagging\ncrop_frames: 320\nbalance_classes: true\nepoch_samples: 8\nepochs: 3\nwarmup: 1\n"
        "batch_size: 4\nmixup: [0.5, 10]\nspec_augment: [4, 20]\naverage: epochs\ntail_from: 0.3\n" + QUICK
    ),
    "finetune_tiny_20k.yaml": (
        "task: tagging\ncrop_frames: 320\nsteps: 3\nwarmup: 1\nbatch_size: 4\naverage: ema\n" + QUICK
    ),
    "runs_tiny.yaml": (
        "runs:\n"
        "  - {task: AudioSet-2M, train: as2m, test: eval, config: finetune_tiny_2m.yaml, systems: [pretrained]}\n"
        "  - {task: AudioSet-20K, train: as20k, test: eval, config: finetune_tiny_20k.yaml, "
        "systems: [scratch]}\n"
    ),
    "runs_tiny_20k.yaml": (
        "runs:\n  - {task: AudioSet-20K, train: as20k, test: eval, config: finetune_tiny_20k.yaml, "
        "systems: [pretrained]}\n"
    ),
}
STAGES = ("download", "data", "features", "stats", "pretrain", "finetune", "score", "report")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> audioset_corpus.Corpus:
    return audioset_corpus.make(tmp_path_factory.mktemp("audioset corpus"))


@pytest.fixture(scope="module")
def address(corpus: audioset_corpus.Corpus) -> Iterator[str]:
    """The folder of lists, served from this machine."""
    with served(corpus.csv) as host:
        yield host


def run_command(corpus: audioset_corpus.Corpus, address: str, *more: str) -> list[str]:
    options = ["--audio-dir", str(corpus.audio), "--csv-url", f"{address}/nothing {address}", "--official", "false"]
    options += ["--fbank-config", "conf/fbank_tiny.yaml", "--pretrain-config", "conf/pretrain_tiny.yaml"]
    options += ["--ngpu", "0", "--finetune-ngpu", "0", "--nj", "2"]
    return ["./run.sh", *options, *(more or ("--runs", "conf/runs_tiny.yaml"))]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, corpus: audioset_corpus.Corpus, address: str) -> Path:
    """A copy of the recipe that has run to its end, with lists fetched over loopback."""
    recipe = copy_recipe("audioset", tmp_path_factory.mktemp("audioset"), CONFIGS)
    run(recipe, *run_command(corpus, address))
    return recipe


def expected_utts(corpus: audioset_corpus.Corpus, *lists: str) -> set[str]:
    return {f"Y{video}" for name in lists for video in corpus.videos[name] if video not in corpus.gone}


def test_every_stage_leaves_what_it_should(recipe: Path, corpus: audioset_corpus.Corpus) -> None:
    parts = {"as2m": ("balanced_train", "unbalanced_train"), "as20k": ("balanced_train",), "eval": ("eval",)}
    for name, lists in parts.items():
        data = DataDir(str(recipe / "data" / name))
        assert set(data.utts) == set(data.feats) == set(data.utt2label) == expected_utts(corpus, *lists)
        assert len(data.labels) == 527
        gone = {f"Y{video}": why for n in lists for video in corpus.videos[n] if (why := corpus.gone.get(video))}
        listed = dict(line.split(" ", 1) for line in (data.path / Path("missing_utts")).read_text().splitlines())
        assert listed.keys() == gone.keys()
        for utt, why in gone.items():
            assert listed[utt].startswith(why), listed
    assert (recipe / "exp/pretrain_0/backbone.safetensors").is_file()
    for run_dir in ("AudioSet-2M_all_pretrained_0", "AudioSet-20K_all_scratch_0"):
        assert (recipe / "exp" / run_dir / "model.safetensors").is_file()


def test_labels_are_those_of_the_lists(recipe: Path, corpus: audioset_corpus.Corpus) -> None:
    names = {mid: re.sub("[ ,]+", "_", name) for mid, name in audioset_corpus.classes()}
    data = DataDir(str(recipe / "data/as20k"))
    rows = csv.reader((corpus.csv / "balanced_train_segments.csv").read_text().splitlines()[3:], skipinitialspace=True)
    wanted = {f"Y{video}": [names[mid] for mid in mids.split(",")] for video, _, _, mids in rows}
    for utt in data.utts:
        assert list(data.utt2label[utt]) == wanted[utt]
    assert list(data.labels)[:2] == ["Speech", "Male_speech_man_speaking"]


def test_found_and_expected_stand_beside_the_scores(recipe: Path, corpus: audioset_corpus.Corpus) -> None:
    there, official = len(expected_utts(corpus, "eval")), audioset_corpus.COUNTS["eval"]
    assert there < official
    records = {path.parent.parent.name: json.loads(path.read_text()) for path in recipe.glob("exp/*/eval/metrics.json")}
    assert len(records) == 2
    for record in records.values():
        assert (record["clips"], record["expected"], record["metric"]) == (there, official, "mAP")
        assert {"auc", "dprime", "classes_scored"} <= record["metrics"].keys()
    missing = (recipe / "exp/AudioSet-2M_all_pretrained_0/eval/missing").read_text().split()
    assert missing == sorted(f"Y{video}" for video in corpus.videos["eval"] if video in corpus.gone)
    assert f"scored {there} of {official} utterances" in (recipe / "exp/log/score.1.log").read_text()
    table = (recipe / "exp/RESULTS.md").read_text()
    assert f"| eval | {official} | {there} |" in table
    assert "48.0" in table, "the published numbers stand beside ours"
    assert len(re.findall(r"^- [0-9a-f]{64}  \w+_segments.csv$", table, flags=re.M)) == 3, "the lists are known by hash"


def test_nothing_is_selected_on_the_evaluation_set(recipe: Path) -> None:
    paths = list(recipe.glob("exp/AudioSet*/config.yaml"))
    assert len(paths) == 2
    for path in paths:
        assert read_yaml(path)["valid_dir"][0] == ""
        assert "no validation set: the average of the weights is kept" in path.with_name("train.log").read_text()


def test_features_are_of_the_first_channel_at_the_front_ends_rate(recipe: Path) -> None:
    data = DataDir(str(recipe / "data/all"))
    assert min(data.utt2num_frames.values()) > 100
    wav = next(utt for utt, path in data.wav_scp.items() if path.endswith("/audio.wav"))
    assert np.ptp(read_matrix(str(recipe / data.feats[wav]) if data.feats[wav][0] != "/" else data.feats[wav])) > 3


def test_a_second_run_does_nothing(recipe: Path, corpus: audioset_corpus.Corpus, address: str) -> None:
    output = call(recipe, *run_command(corpus, address), "--status").stdout
    assert [line.split()[1] for line in output.splitlines()] == list(STAGES)
    assert all(line.endswith(" finished") for line in output.splitlines()), output


def test_20k_alone_from_released_weights(
    recipe: Path, corpus: audioset_corpus.Corpus, address: str, tmp_path: Path
) -> None:
    """Without the unbalanced list and without pretraining; the backbone is an imported official checkpoint."""
    sys.path.insert(0, str(ROOT / "tests/unit/models"))
    from test_models_official import checkpoint

    checkpoint(tmp_path / "asit.pth", "v2")
    alone = tmp_path / "audioset"
    shutil.copytree(recipe, alone, ignore=shutil.ignore_patterns("exp", "data", "downloads", "RESULTS.md"))
    options = ("--runs", "conf/runs_tiny_20k.yaml", "--pool", "as20k", "--released", str(tmp_path / "asit.pth"))
    run(alone, *run_command(corpus, address, *options))
    assert not (alone / "downloads/unbalanced_train_segments.csv").exists()
    assert not (alone / "data/as2m").exists()
    assert not (alone / "exp/pretrain_0").exists()
    assert (alone / "exp/AudioSet-20K_all_pretrained_0/eval/metrics.json").is_file()


# --- lists and audio -------------------------------------------------------------------------------


def prepare(corpus: audioset_corpus.Corpus, out: Path, *more: str, **where: Path) -> subprocess.CompletedProcess[str]:
    lists, audio = where.get("lists", corpus.csv), where.get("audio", corpus.audio)
    options = ["--csv-dir", str(lists), "--audio-dir", str(audio), "--data", str(out / "data"), "--official", "false"]
    return call(RECIPE, "local/prepare.py", *options, *more)


@pytest.fixture
def changed(corpus: audioset_corpus.Corpus, tmp_path: Path) -> Path:
    """Lists to spoil."""
    return Path(shutil.copytree(corpus.csv, tmp_path / "lists"))


SPOILED = {
    "a line is lost": (
        "eval",
        lambda t: t[: t.rindex("\n", 0, -1) + 1],
        r"expected 10 segments with \d+ labels, as line 2",
    ),
    "an unknown label": (
        "eval",
        lambda t: t.replace("/m/09x0r", "/m/unknown", 1),
        r":\d+: label '/m/unknown' is not in",
    ),
    "a short id": ("eval", lambda t: re.sub(r"\n-", "\n", t, count=1), r":4: expected a YouTube id of 11"),
    "a video twice": ("eval", lambda t: t + t.splitlines()[3] + "\n", r":14: video \S+ is there already"),
    "no end": ("eval", lambda t: t.replace(", 40.000", "", 1), r":4: expected 'id, start, end, "),
    "end before start": ("eval", lambda t: t.replace("40.000", "4.000", 1), r":4: expected 0 <= start < end"),
    "no comment lines": ("eval", lambda t: "".join(t.splitlines(keepends=True)[3:]), r":2: expected '# num_ytids"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_spoiled_lists_are_refused(corpus, changed: Path, tmp_path: Path, case: str) -> None:
    name, spoil, message = SPOILED[case]
    path = changed / f"{name}_segments.csv"
    path.write_text(spoil(path.read_text()))
    assert_refused(prepare(corpus, tmp_path, lists=changed), message)
    assert not (tmp_path / "data").exists()


def test_missing_lists_and_classes_are_named(corpus, changed: Path, tmp_path: Path) -> None:
    (changed / "unbalanced_train_segments.csv").unlink()
    assert_refused(prepare(corpus, tmp_path, lists=changed), "unbalanced_train_segments.csv: no such file")
    classes = changed / "class_labels_indices.csv"
    classes.write_text(classes.read_text().replace("index,mid", "id,mid"))
    assert_refused(prepare(corpus, tmp_path, lists=changed), r"class_labels_indices.csv:1: expected the header")


def test_the_official_numbers_are_expected_by_default(corpus, tmp_path: Path) -> None:
    done = call(RECIPE, "local/lists.py", "--csv-dir", str(corpus.csv), "--lists", "eval")
    assert_refused(done, r"expected 20371 segments with 51804 labels, as were published, found 10 with")


def test_a_video_in_two_lists_is_refused(corpus, changed: Path, tmp_path: Path) -> None:
    lines = (changed / "eval_segments.csv").read_text().splitlines(keepends=True)
    other = (changed / "balanced_train_segments.csv").read_text().splitlines()[3].split(",")[0]
    lines[3] = other + lines[3][11:]
    (changed / "eval_segments.csv").write_text("".join(lines))
    assert_refused(prepare(corpus, tmp_path, lists=changed), f"video {other} is in balanced_train too")


def test_lists_written_again_by_other_programs_are_read(corpus, changed: Path, tmp_path: Path) -> None:
    """Public copies lack blanks, decimals and the quotes of single labels."""
    path = changed / "eval_segments.csv"
    head, rows = path.read_text().splitlines()[:3], path.read_text().splitlines()[3:]
    plain = [re.sub(r', "(\S+)"', lambda m: f",{m[1]}" if "," not in m[1] else f',"{m[1]}"', row) for row in rows]
    plain = [row.replace(", 30.000, 40.000", ",30,40") for row in plain]
    assert plain != rows
    path.write_text("\n".join([*head, *plain]) + "\n")
    for lists, out in ((corpus.csv, tmp_path / "a"), (changed, tmp_path / "b")):
        assert prepare(corpus, out, "--sets", "eval", lists=lists).returncode == 0
    for table in ("utt2label", "wav.scp", "missing_utts"):
        assert (tmp_path / "a/data/eval" / table).read_text() == (tmp_path / "b/data/eval" / table).read_text()


def test_audio_of_nobody_and_too_little_audio_are_refused(corpus, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    assert_refused(prepare(corpus, tmp_path, audio=tmp_path / "none"), r"none: no such folder; --audio-dir is")
    (other / "song.wav").write_bytes(b"")
    assert_refused(
        prepare(corpus, tmp_path, audio=other), r"found 1 audio files, none of a listed video, such as: \S*song.wav"
    )
    (other / f"{corpus.videos['eval'][0]}.wav").write_bytes(b"")
    assert_refused(prepare(corpus, tmp_path, audio=other), r"audio of 1 of 36 segments, expected at least 50%")


def test_whole_videos_are_noticed_and_cut(corpus, tmp_path: Path) -> None:
    audio = tmp_path / "videos"
    wave = np.random.default_rng(0).standard_normal(8000 * 45) * 0.1
    for name in ("eval", "balanced_train"):
        for video in corpus.videos[name]:
            path = audio / f"{video}.flac"
            path.parent.mkdir(exist_ok=True)
            audioset_corpus.write_clip(path, wave[:100], "flac", "PCM_16", 8000)
            audioset_corpus.soundfile.write(path, wave, 8000)
    sets = ("--sets", "as20k", "eval")
    assert_refused(prepare(corpus, tmp_path, *sets, audio=audio), r"longer than their segments, such as: .* 45.0 s")
    done = prepare(corpus, tmp_path, *sets, "--whole-videos", "true", audio=audio)
    assert done.returncode == 0, done.stderr
    data = DataDir(str(tmp_path / "data/eval"))
    assert {(s.start, s.end) for s in data.segments.values()} == {(30.0, 40.0)}


def test_a_held_out_tenth_is_disjoint_and_leaves_the_rest(corpus, tmp_path: Path) -> None:
    sets = ("--sets", "heldout", "as20k", "as20k_train", "as2m", "as2m_train")
    done = prepare(corpus, tmp_path, *sets, "--min-found", "0")
    assert done.returncode == 0, done.stderr
    utts = {name: set(DataDir(str(tmp_path / "data" / name)).utts) for name in sets[1:]}
    assert utts["as20k"] == utts["heldout"] | utts["as20k_train"]
    assert utts["as2m"] == utts["heldout"] | utts["as2m_train"]
    assert not utts["heldout"] & utts["as2m_train"]
    assert utts["heldout"]


# --- configurations --------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", [1, 2])
def test_pretraining_is_the_published_one(variant: int) -> None:
    """The variants' configurations beside docs/fidelity.md, with more loaders."""
    name = f"conf/pretrain_asit_v{variant}.yaml"
    ours, published = ({k: v for k, (v, _) in read_yaml(ROOT / "egs" / r / name).items()} for r in ("audioset", "mini"))
    assert ours == published | {"num_workers": 8, "save": 30}


def test_no_run_selects_on_the_evaluation_set() -> None:
    files = sorted((RECIPE / "conf").glob("runs*.yaml"))
    assert len(files) == 4
    for path in files:
        for row in read_yaml(path)["runs"][0]:
            assert row.get("valid") != "eval"
            assert "valid" not in row or "eval" not in str(row["test"])
            assert (RECIPE / "conf" / row["config"]).is_file()
