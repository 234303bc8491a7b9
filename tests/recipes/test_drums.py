"""egs/drums on small packages (tests/support/drums_corpus.py): every stage, its tables, its mixtures, its messages."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asit.errors import AsitError
from asit.io.debian_package import Package, read_deb
from asit.kaldi.data_dir import DataDir
from asit.kaldi.events import read_events
from asit.recipes.runs_file import read_plan, sets

DRUMS = Path(__file__).parents[2] / "egs/drums"
FOLDERS = [str(Path(__file__).parents[1] / "support"), str(DRUMS / "local")]
sys.path[:0] = FOLDERS

import drum_mixtures as mix  # noqa: E402
import drum_recordings as corpus  # noqa: E402
import drums_corpus  # noqa: E402
from recipe_runs import assert_refused, call, copy_recipe, run  # noqa: E402

sys.path.remove(FOLDERS[1])

DRAWS = 3
TRAINING = "steps: 4\nwarmup: 1\nbatch_size: 4\nthreads: 1\nnum_workers: 0\ntensorboard: false\n"
CONFIGS = {
    "fbank.yaml": "sample_rate: 32000\nnum_mel_bins: 16\ndither: 1.0e-4\n",
    "pretrain.yaml": (
        "embed_dim: 16\ndepth: 1\nheads: 2\npatch: [4, 0]\nglobal_frames: 32\nshort_clips: skip\n"
        f"head_hidden: 16\nhead_bottleneck: 8\nprototypes: 12\n{TRAINING}"
    ),
    "finetune_events.yaml": f"crop_frames: 160\n{TRAINING}",
    "finetune_tagging.yaml": f"task: tagging\ncrop_frames: 160\n{TRAINING}",
    "finetune_detection.yaml": f"task: sed\ncrop_frames: 160\ntime_stride: 4\nsegment: 0.1\n{TRAINING}",
    "runs.yaml": (  # the sets of the recipe's runs, of which one a task trains a network
        "draws: 3\nruns:\n"
        "  - {task: events, labels: few, train: 'events_train_few_{draw}', valid: events_valid, test: events_test, "
        "config: finetune_events.yaml}\n"
        "  - {task: events, train: events_train, valid: events_valid, test: events_test, "
        "config: finetune_events.yaml, systems: baseline}\n"
        "  - {task: tagging, labels: 10%, train: 'tagging_train_10pct_{draw}', valid: tagging_valid, "
        "test: tagging_test, config: finetune_tagging.yaml, systems: baseline}\n"
        "  - {task: tagging, train: tagging_train, valid: tagging_valid, test: tagging_test, "
        "config: finetune_tagging.yaml}\n"
        "  - {task: detection, train: tagging_train, valid: tagging_valid, test: tagging_test, "
        "config: finetune_detection.yaml, systems: scratch}\n"
    ),
}
MIXTURES = "40 8 10"
ROW = "| events | few | pretrained |"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the tables and the packages."""
    return drums_corpus.make(tmp_path_factory.mktemp("drums corpus"))


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory, small: tuple[Path, Path]) -> Path:
    """A copy of the recipe that has run to its end on them."""
    recipe = copy_recipe("drums", tmp_path_factory.mktemp("drums"), CONFIGS)
    tables, debs = small
    run(recipe, "./run.sh", "--corpus", str(debs), "--tables", str(tables), "--mixtures", MIXTURES, "--nj", "2")
    return recipe


@pytest.fixture
def copied(tmp_path: Path, small: tuple[Path, Path]) -> tuple[Path, Path]:
    """The same folders, to be changed."""
    return tuple(Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in small)  # type: ignore[return-value]


def prepared(folder: Path, tables: Path, debs: Path, *more: str) -> subprocess.CompletedProcess[str]:
    counts = [f"--{name}-mixtures={count}" for name, count in zip(corpus.SETS, MIXTURES.split(), strict=True)]
    command = (sys.executable, str(DRUMS / "local/prepare.py"), "--corpus", str(debs), "--tables", str(tables), *counts)
    return call(folder, *command, *more)


def files_of(debs: Path, tables: Path, package: str) -> dict[str, bytes]:
    row = next(row for row in corpus.read_tables(tables)[2] if row.package == package)
    return read_deb(debs / f"{package}_1.0_all.deb", Package(row.package, row.version, row.sha256))


# The whole recipe


def test_the_recipe_runs_from_packages_to_tables(recipe: Path) -> None:
    text = (recipe / "exp/RESULTS.md").read_text()
    assert text.index("## detection") < text.index("## events") < text.index("## tagging")
    for word in (
        "pretrained",
        "from scratch",
        "log-mel statistics + logistic regression",
        "balanced accuracy",
        "AUC",
        "d'",
        "event_f1 in %",
        "onset F1 in %",
        "segment F1 in %",
    ):
        assert word in text
    assert "on 15 test clips" in text
    assert "on 10 test clips" in text
    scored = {path.parent.parent.name for path in recipe.glob("exp/*/*/metrics.json")}
    systems = ("pretrained", "scratch", "baseline")
    trained = {f"{run}_{system}_0" for run in ("events_few", "tagging_all") for system in systems}
    assert scored == trained | {"events_all_baseline_0", "tagging_10pct_baseline_0", "detection_all_scratch_0"}


@pytest.mark.parametrize("runs", ["runs.yaml", "runs_detection.yaml"])
def test_every_set_of_the_real_runs_is_prepared(recipe: Path, runs: str) -> None:
    for name in sets(read_plan(str(DRUMS / "conf" / runs)), "pool"):
        assert DataDir(str(recipe / "data" / name)).has("feats.scp"), name


def test_metrics_beside_the_primary_one_are_those_of_the_runs(recipe: Path) -> None:
    path = next(recipe.glob("exp/events_few_pretrained_0/*/metrics.json"))
    value = json.loads(path.read_text())["metrics"]["balanced_accuracy"]
    lines = (recipe / "exp/RESULTS.md").read_text().splitlines()
    titles, cells = ([cell.strip() for cell in line.split("|")] for line in lines if line.startswith(("| task", ROW)))
    assert cells[titles.index("balanced accuracy in %")] == f"{100 * value:.1f} (1)"


def test_a_finished_recipe_has_nothing_to_do(recipe: Path, small: tuple[Path, Path]) -> None:
    tables, debs = small
    options = ("--corpus", str(debs), "--tables", str(tables), "--mixtures", MIXTURES)
    lines = run(recipe, "./run.sh", *options, "--status").splitlines()
    assert len(lines) == 8
    assert all(line.endswith(" finished") for line in lines), lines


def test_sets_have_disjoint_kits_and_the_same_classes(recipe: Path) -> None:
    kits = {name: set(DataDir(str(recipe / f"data/events_{name}")).utt2spk.values()) for name in corpus.SETS}
    assert kits == {"train": {"acoustic", "hydro_kit"}, "valid": {"loops"}, "test": {"circus_v4"}}
    for name in ("events_train", "events_train_few_2", "events_test", "tagging_train", "tagging_train_10pct_1"):
        assert list(DataDir(str(recipe / "data" / name)).labels) == sorted(drums_corpus.LABELS)


def test_the_pool_is_the_training_kits_without_labels(recipe: Path) -> None:
    pool = DataDir(str(recipe / "data/pool"))
    train = [DataDir(str(recipe / f"data/{task}_train")).utts for task in ("events", "tagging")]
    assert sorted(pool.utts) == sorted([*train[0], *train[1]])
    assert not pool.has("utt2label")


def test_small_label_sets_are_parts_of_the_training_set(recipe: Path) -> None:
    train = DataDir(str(recipe / "data/events_train")).utt2label
    draws = [DataDir(str(recipe / f"data/events_train_few_{draw}")).utt2label for draw in range(DRAWS)]
    for few in draws:
        assert few.items() <= train.items()
        assert sorted(label for labels in few.values() for label in labels) == sorted(3 * list(drums_corpus.LABELS))
    assert len({frozenset(few) for few in draws}) == DRAWS


def test_labels_of_a_mixture_are_those_of_its_parts(recipe: Path) -> None:
    for name in corpus.SETS:
        own = DataDir(str(recipe / f"data/events_{name}")).utt2label
        tagging = DataDir(str(recipe / f"data/tagging_{name}"))
        for utt, made_of in tagging.table("utt2parts").items():
            parts = [part.rsplit("@", 2)[0] for part in made_of.split()]
            assert sorted(label for part in parts for label in own[part]) == sorted(tagging.utt2label[utt])
            assert 1 <= len(parts) <= 4


def test_a_mixture_is_the_sum_of_its_parts(recipe: Path) -> None:
    """The audio follows from utt2parts and the recordings, to the rounding of 16 bit."""
    for utt, made_of in DataDir(str(recipe / "data/tagging_test")).table("utt2parts").items():
        mixture, rate = soundfile.read(recipe / f"data/audio/{utt}.flac")
        expected = np.zeros(len(mixture))
        for part in made_of.split():
            source, offset, level = part.rsplit("@", 2)
            wave, _ = soundfile.read(recipe / f"data/audio/{source}.flac")
            wave = wave / np.abs(wave).max() * 10 ** (float(level.removesuffix("dB")) / 20)
            room = len(mixture) - int(offset)
            faded = round(corpus.FADE * rate) if len(wave) > room else 0
            wave = wave[: room - faded]
            expected[int(offset) : int(offset) + len(wave)] += wave
            mixture[int(offset) + len(wave) : int(offset) + len(wave) + faded] = 0
            expected[int(offset) + len(wave) : int(offset) + len(wave) + faded] = 0
        assert rate == 32000
        assert len(mixture) == round(1.6 * rate)
        expected /= max(1.0, np.abs(expected).max() / 0.99)
        assert np.abs(expected - mixture).max() < 2e-3, utt


def test_an_event_of_a_mixture_is_where_its_part_is_heard(recipe: Path) -> None:
    tagging = DataDir(str(recipe / "data/tagging_test"))
    events = read_events(tagging.file("events"), tagging.labels)
    assert list(events) == tagging.utts
    for utt, made_of in tagging.table("utt2parts").items():
        assert sorted(event.label for event in events[utt]) == sorted(tagging.utt2label[utt])
        for part in made_of.split():
            source, offset, _ = part.rsplit("@", 2)
            wave, rate = soundfile.read(recipe / f"data/audio/{source}.flac")
            wave = np.abs(wave[: round(1.6 * rate) - int(offset)])
            (event,) = (e for e in events[utt] if source in label_of(recipe, e.label))
            first, end = (round(second * rate) - int(offset) for second in event[:2])
            loud, rounding, fade = (
                wave >= 0.01 * wave.max(),
                rate // 1000,
                round(corpus.FADE * rate),
            )  # to a millisecond
            assert -rounding <= first < end <= len(wave) + rounding
            assert not loud[: max(0, first - rounding)].any()
            assert not loud[end + rounding + fade :].any()
            assert not loud[end + rounding : len(wave) - fade].any()


def label_of(recipe: Path, label: str) -> set[str]:
    """Test recordings of a class."""
    found = DataDir(str(recipe / "data/events_test")).utt2label
    return {utt for utt, labels in found.items() if labels == (label,)}


def test_recordings_keep_their_length_up_to_the_cut(recipe: Path, small: tuple[Path, Path]) -> None:
    tables, debs = small
    for package in drums_corpus.PACKAGES:
        files = files_of(debs, tables, package)
        for recording in (row for row in corpus.read_tables(tables)[1] if row.package == package):
            wave, rate = soundfile.read(recipe / f"data/audio/{recording.utt}.flac", always_2d=True)
            assert wave.shape[1] == 1
            content = files[recording.path]
            content = content[max(content.find(b"OggS"), 0) :]
            found = len(wave) / rate
            source = soundfile.info(io.BytesIO(content))
            assert found == pytest.approx(min(1.6, source.frames / source.samplerate), abs=2e-4), recording.utt


# Stage data


def test_what_is_mixed_does_not_depend_on_the_machine_or_the_run(tmp_path: Path, recipe: Path, small) -> None:
    tables, debs = small
    assert prepared(tmp_path, tables, debs).returncode == 0
    for name in ("tagging_train", "events_train_few_1", "pool"):
        for file in sorted(path.name for path in (tmp_path / "data" / name).iterdir()):
            assert (tmp_path / "data" / name / file).read_bytes() == (recipe / "data" / name / file).read_bytes()
    again, before = (folder / "data/audio/mix-test-0003.flac" for folder in (tmp_path, recipe))
    assert np.array_equal(soundfile.read(again)[0], soundfile.read(before)[0])


def test_an_unreadable_recording_is_listed_or_stops_the_stage(tmp_path: Path, copied: tuple[Path, Path]) -> None:
    tables, debs = copied
    files = files_of(debs, tables, "kits")
    broken = sorted(path for path in files if path.endswith(".flac"))[0]
    drums_corpus.replace_deb(tables, debs, "kits", {**files, broken: b"RIFF" + bytes(40)})
    assert_refused(prepared(tmp_path, tables, debs), r"cannot be decoded .*1 of 60 recordings, at most 1% may be")
    done = prepared(tmp_path, tables, debs, "--max-excluded", "0.05")
    assert done.returncode == 0, done.stderr
    assert "59 of 60 recordings read, 1 excluded" in done.stdout
    assert broken in (tmp_path / "data/excluded.txt").read_text()
    assert (
        len(DataDir(str(tmp_path / "data/events_train")).utts) + len(DataDir(str(tmp_path / "data/events_test")).utts)
        == 44
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tables, debs: (debs / "kits_1.0_all.deb").unlink(), r"no kits_\*\.deb; put version 1\.0 there"),
        (
            lambda tables, debs: drums_corpus.write_deb(debs, "kits", {}),
            r"kits_1\.0_all\.deb: damaged: expected sha256",
        ),
        (
            lambda tables, debs: drums_corpus.replace_deb(tables, debs, "kits", {}),
            r"expected 30 recordings .* 30 are not",
        ),
        (lambda tables, debs: (tables / "kits.tsv").unlink(), r"kits\.tsv: cannot read"),
    ],
    ids=["no package", "damaged package", "another package", "no table"],
)
def test_missing_and_damaged_packages_are_named(
    tmp_path: Path, copied: tuple[Path, Path], change, message: str
) -> None:
    tables, debs = copied
    change(tables, debs)
    assert_refused(prepared(tmp_path, tables, debs), message)


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        ("kits", "loops\tvalid", "loops\tdev", r"kit 'loops': expected a set of .*, found 'dev'"),
        ("kits", "loops\t", "sloops\t", r"kit 'loops' is not in kits\.tsv"),
        ("kits", "kit\tset", "kit\tsplit", r"kits\.tsv:1: expected the columns kit set author licence"),
        ("recordings", "\tkick\tloops", "\tkick", r"recordings\.tsv:\d+: expected 4 fields, found 3"),
        ("recordings", "more-kits\t", "other\t", r"package 'other' is not in packages\.tsv"),
        ("recordings", "tom 1.", "tom 0.", r"second recording of the utterance id \S+-tom-tom_0"),
    ],
)
def test_wrong_tables_are_named(
    tmp_path: Path, copied: tuple[Path, Path], table: str, old: str, new: str, message: str
) -> None:
    tables, debs = copied
    text = (tables / f"{table}.tsv").read_text()
    assert old in text
    (tables / f"{table}.tsv").write_text(text.replace(old, new))
    assert_refused(prepared(tmp_path, tables, debs), message)


def test_the_download_stage_accepts_the_packages_and_names_a_wrong_one(
    copied: tuple[Path, Path], tmp_path: Path
) -> None:
    tables, debs = copied
    command = (sys.executable, str(DRUMS / "local/fetch.py"), "--corpus", str(debs), "--tables", str(tables))
    assert call(tmp_path, *command).stdout.count(".deb: ") == 2
    with open(debs / "kits_1.0_all.deb", "ab") as stream:
        stream.write(b"more")
    assert_refused(call(tmp_path, *command), r"kits_1\.0_all\.deb: expected version 1\.0 with sha256 \w+, found \w+")


# Decoding


def test_channels_are_averaged_and_the_rate_is_converted() -> None:
    wave = np.sin(np.arange(8000) / 5).astype(np.float32) * 0.4
    found = corpus.decode(drums_corpus.encoded(wave, "WAV", "PCM_24", 48000, 2), 8000, 2.0)
    assert len(found) == 8000
    assert np.abs(found - 0.75 * wave)[100:-100].max() < 0.01


def test_an_ogg_stream_in_a_wav_file_is_decoded() -> None:
    wave = next(drums_corpus.hits())
    ogg = drums_corpus.encoded(wave, "OGG", "VORBIS", 44100, 1)
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.read(io.BytesIO(drums_corpus.ogg_in_wav(ogg)))
    assert np.array_equal(corpus.decode(drums_corpus.ogg_in_wav(ogg), 44100, 9.0), corpus.decode(ogg, 44100, 9.0))


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        (np.zeros(0), "expected samples, found none"),
        (np.zeros(100), "expected a sound, found zeros only"),
        (np.array([0.0, np.nan]), "found NaN"),
    ],
)
def test_clips_without_sound_are_refused(wave: np.ndarray, message: str) -> None:
    with pytest.raises(AsitError, match=message):
        corpus.decode(drums_corpus.encoded(wave.astype(np.float32), "WAV", "FLOAT", 8000, 1), 8000, 1.0)


# Mixing

SETTINGS = mix.MixSettings()


def recordings(labels: int = 6, kits: int = 2, takes: int = 3) -> list[corpus.Recording]:
    return [
        corpus.Recording("p", f"{take}.wav", f"class{label}", f"kit{kit}")
        for label in range(labels)
        for kit in range(kits)
        for take in range(takes)
    ]


def planned(name: str = "mix", count: int = 300, settings: mix.MixSettings = SETTINGS) -> dict[str, list[mix.Part]]:
    rows = recordings()
    return mix.plan(name, count, rows, {row.utt: 8000 for row in rows}, 8000, settings)


def test_a_mixture_is_a_function_of_seed_set_and_number() -> None:
    assert planned() == planned()
    assert list(planned(count=20).values()) == list(planned().values())[:20]
    assert planned() != planned(settings=mix.MixSettings(mix_seed=1))
    assert list(planned("a", 20).values()) != list(planned("b", 20).values())


def test_numbers_of_classes_offsets_and_levels_lie_in_their_ranges() -> None:
    sizes = [len(parts) for parts in planned().values()]
    assert sorted(set(sizes)) == [1, 2, 3, 4]
    assert min(sizes.count(size) for size in (1, 2, 3, 4)) > 45
    for parts in planned().values():
        assert len({part.label for part in parts}) == len(parts)
        for part in parts:
            assert 0 <= part.offset <= 1.2 * 8000
            assert SETTINGS.mix_softest <= part.level <= SETTINGS.mix_loudest
    counts = [sum(part.label == f"class{i}" for parts in planned().values() for part in parts) for i in range(6)]
    assert max(counts) < 1.5 * min(counts)


def test_a_mixture_never_leaves_full_scale() -> None:
    parts = [mix.Part(name, name, 0, -1.0) for name in ("a", "b", "c")]
    found = mix.mix(parts, dict.fromkeys("abc", np.array([0.1, -0.5, 0.2], dtype=np.float32)), 10, 0.5)
    assert found.dtype == np.float32
    assert len(found) == 5
    assert np.abs(found).max() == pytest.approx(0.99)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (mix.MixSettings(mix_most=7), "expected recordings of at least 7 classes, found 6"),
        (mix.MixSettings(mix_softest=-3.0), "--mix-softest -3 is above --mix-loudest -6"),
        (mix.MixSettings(mix_heard=2.0), "--mix-heard 2 is longer than --mix-seconds 1.6"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(settings: mix.MixSettings, message: str) -> None:
    with pytest.raises(AsitError, match=message):
        planned(settings=settings)


# The committed tables


def test_committed_tables_have_all_recordings_and_no_author_in_two_sets() -> None:
    kits, rows, packages = corpus.read_tables()
    assert len(rows) == 732
    assert len(kits) == 18
    assert len(packages) == 5
    assert len({row.label for row in rows}) == 14
    sets_of_authors: dict[str, set[str]] = {}
    for kit in kits.values():
        sets_of_authors.setdefault(kit.author.partition(" and ")[0], set()).add(kit.set)
    assert all(len(found) == 1 for found in sets_of_authors.values()), sets_of_authors
    for name, expected in (("train", 14), ("valid", 13), ("test", 14)):
        assert len({row.label for row in rows if kits[row.kit].set == name}) == expected
