"""The kill matrix: where each command is killed, and what must hold after it was run again."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
import soundfile
from killing import Command, Kill, children

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from same_run import logged

from asit.train.run_log import read_metrics

UTTS = [f"s{i % 2}-{i:02d}" for i in range(8)]
TRAIN = "--steps 12 --warmup 2 --batch-size 4 --threads 1 --ngpu 0 --tensorboard false --log-every 1"
TRAIN = [*TRAIN.split(), "--save", "0", "3", "--num-workers"]
MODEL = "--embed-dim 16 --depth 1 --heads 2 --patch 8 0 --global-frames 32 --local-crops 0"
MODEL = [
    *MODEL.split(),
    *["--head-hidden", "8", "--head-bottleneck", "8", "--prototypes", "8", "--export", "student"],
]
COMMANDS = {
    "pretrain": ["--data-dir", "data/set", "--out-dir", "exp/new", *MODEL, *TRAIN],
    "finetune": [
        *[
            "--train-dir",
            "data/set",
            "--out-dir",
            "exp/new",
            "--init",
            "exp/pretrain/backbone.safetensors",
            "--average",
            "ema",
        ],
        *TRAIN,
    ],
    "make_fbank": ["--data-dir", "data/set", "--out-dir", "new", "--name", "raw", "--config", "conf/fbank.yaml"],
    "collect_feats": ["--data-dir", "data/set", "--out-dir", "fbank", "--name", "raw"],
    "evaluate": [
        "--model",
        "exp/task/model.safetensors",
        "--data-dir",
        "data/set",
        "--out-dir",
        "exp/new",
        "--ngpu",
        "0",
    ],
}
TRAININGS = ("pretrain", "finetune")
SOAK = 12


def words_of(command: str, workers: int = 0) -> list[str]:
    """The command's options."""
    return [*COMMANDS[command], *([str(workers)] if command in TRAININGS else [])]


def run(home: Path, command: str, words: list[str], kill: Kill | None = None) -> tuple[int, str]:
    """Run a command to its end."""
    return Command(home, command, words, kill).wait()


def prepare(home: Path) -> None:
    """A recipe with data, features, a backbone and a model; `home` must not exist."""
    for folder in ("wav", "data/set", "conf"):
        (home / folder).mkdir(parents=True)
    noise = np.random.default_rng(0)
    for i, utt in enumerate(UTTS):
        soundfile.write(home / f"wav/{utt}.wav", 0.1 * noise.standard_normal(4800 + 80 * i), 8000)
    tables = {
        "wav.scp": {utt: f"wav/{utt}.wav" for utt in UTTS},
        "utt2spk": {utt: utt[:2] for utt in UTTS},
        "utt2label": {utt: ("yes", "no")[i // 2 % 2] for i, utt in enumerate(UTTS)},
        "spk2utt": {spk: " ".join(sorted(u for u in UTTS if u[:2] == spk)) for spk in ("s0", "s1")},
        "labels.txt": {"no": "0", "yes": "1"},
    }
    for name, table in tables.items():
        (home / "data/set" / name).write_text("".join(f"{k} {v}\n" for k, v in sorted(table.items())))
    (home / "conf/fbank.yaml").write_text("sample_rate: 8000\nnum_mel_bins: 16\n")
    steps = [
        ("make_fbank", [*COMMANDS["make_fbank"], "--out-dir", "fbank"]),
        ("collect_feats", COMMANDS["collect_feats"]),
        ("compute_stats", ["--data-dir", "data/set"]),
        ("pretrain", [*words_of("pretrain"), "--out-dir", "exp/pretrain"]),
        ("finetune", [*words_of("finetune"), "--out-dir", "exp/task"]),
    ]
    for command, words in steps:
        code, errors = run(home, command, words)
        assert code == 0, f"{command}: {errors}"


def temporaries(home: Path) -> list[str]:
    """Files under names that no command reads."""
    return sorted(p.name for p in home.rglob("*") if ".tmp-" in p.name)


def result(home: Path, command: str) -> dict[str, bytes | list]:
    """What a command leaves: its files byte by byte, and the lines of its losses."""
    folder = {"make_fbank": "new", "collect_feats": "data/set"}.get(command, "exp/new")
    left: dict[str, bytes | list] = {}
    for path in sorted((home / folder).rglob("*")):
        name = path.relative_to(home / folder).as_posix()
        if ".tmp-" in name:  # never a final name; counted by itself
            continue
        if name == "metrics.jsonl":
            left[name] = logged(path.parent)
        elif path.suffix == ".safetensors":  # its metadata hold times
            tensors = safetensors.numpy.load_file(path)
            left[name] = [(k, str(v.dtype), v.shape, v.tobytes()) for k, v in sorted(tensors.items())]
        elif name == "metrics.json":  # says when, where and how long
            left[name] = [(k, v) for k, v in json.loads(path.read_text()).items() if k not in ("seconds", "provenance")]
        elif path.is_file() and command not in TRAININGS and path.suffix != ".log" and path.name != ".lock":
            left[name] = path.read_bytes()
    assert left, f"{folder} is empty"
    return left


@dataclass(frozen=True)
class Case:
    """One row of the matrix."""

    name: str
    promise: str
    check: Callable[[Workplace, Path], tuple[int, int]]
    fast: bool = False


class Workplace:
    """A finished recipe to copy, and the undisturbed result of each command."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._whole = folder, {}
        prepare(folder / "recipe")

    def copy(self, name: str) -> Path:
        """A fresh copy of the recipe."""
        home = self.folder / name
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.folder / "recipe", home)
        return home

    def whole(self, command: str, words: list[str]) -> dict:
        """The result of an undisturbed run."""
        key = (command, *words)
        if key not in self._whole:
            home = self.copy(f"whole-{len(self._whole)}")
            code, errors = run(home, command, words)
            assert code == 0, errors
            self._whole[key] = result(home, command)
        return self._whole[key]

    def ends_equal(self, home: Path, command: str, words: list[str]) -> None:
        """Run the same command again: it must succeed and leave what the undisturbed run left."""
        code, errors = run(home, command, words)
        assert code == 0, f"run again: exit code {code}: {errors.strip().splitlines()[-1:]}"
        found, expected = result(home, command), self.whole(command, words)
        different = sorted(k for k in found.keys() | expected.keys() if found.get(k) != expected.get(k))
        assert not different, f"differs from the undisturbed run: {different}"
        assert not temporaries(home), f"temporary files stayed: {temporaries(home)}"


def killed(command: str, kill: Kill, workers: int = 0) -> Callable[[Workplace, Path], tuple[int, int]]:
    """A check: kill the command there, run it again."""

    def check(place: Workplace, home: Path) -> tuple[int, int]:
        words = words_of(command, workers)
        process = Command(home, command, words, kill)
        code, errors = process.wait()
        if kill.worker:
            assert code > 0, f"exit code {code}: the place in a worker was not reached, or its death was not noticed"
            assert "Traceback" not in errors, "a traceback when a loader's worker was killed"
            last = errors.strip().splitlines()[-1]
            assert "error: a process that loads data died" in last, f"said at the end: {last}"
        else:
            assert code == -signal.SIGKILL, f"the place was not reached: exit code {code}: {errors[-300:]}"
        place.ends_equal(home, command, words)
        return 1, 1

    return check


def one_rank_killed(rank: int) -> Callable[[Workplace, Path], tuple[int, int]]:
    """A check: two ranks, one dies at some step; the run ends by itself and continues bit-equal."""

    def check(place: Workplace, home: Path) -> tuple[int, int]:
        words = [*words_of("pretrain"), "--ngpu", "0", "2"]
        words[words.index("--batch-size") + 1], words[words.index("--steps") + 1] = "2", "60"
        place.whole("pretrain", words)
        process = Command(home, "pretrain", words)
        limit = time.monotonic() + 120
        metrics = home / "exp/new/metrics.jsonl"
        while not metrics.exists() or not (rows := read_metrics(metrics)) or rows[-1]["step"] < 4:
            assert process.process.is_alive(), process.wait()[1][-300:]
            assert time.monotonic() < limit, "step 4 not reached"
            time.sleep(0.01)
        victim = next(
            pid for pid in children(process.process.pid)
            if f"RANK={rank}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        )  # fmt: skip
        os.kill(victim, signal.SIGKILL)
        code, _ = process.wait(60)
        assert code != 0, "exit code 0 after a rank was killed"
        place.ends_equal(home, "pretrain", words)
        return 1, 1

    return check


def soak(place: Workplace, home: Path) -> tuple[int, int]:
    """Kill one run again and again at random moments, then let it end."""
    words = words_of("pretrain", 1)
    moments = random.Random(1)
    for _ in range(SOAK):
        process = Command(home, "pretrain", words)
        process.process.join(moments.uniform(0.05, 2.0))
        if not process.process.is_alive():  # finished: begin another run, for a kill that hits nothing proves nothing
            assert process.process.exitcode == 0, process.errors.read_text()[-300:]
            shutil.rmtree(home / "exp/new")
            process = Command(home, "pretrain", words)
            process.process.join(0.3)
        assert process.process.is_alive(), "finished before it could be killed"
        process.kill_group()
    place.ends_equal(home, "pretrain", words)
    return SOAK, SOAK


def disk_full(command: str, size: str) -> Callable[[Workplace, Path], tuple[int, int]]:
    """A check: the command's folder on a tmpfs too small for it; then the disk grows and the command is run again."""
    folder = "new" if command == "make_fbank" else "exp/new"

    def check(place: Workplace, home: Path) -> tuple[int, int]:
        if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
            raise SkippedError("needs root or user namespaces to mount a tmpfs")
        (home / folder).mkdir(parents=True)
        words = words_of(command)
        script = 'f=$1; shift; mount -t tmpfs -o size="$1" none "$f" && shift && { "$@" 2>first; echo $? >code1; '
        script += (
            'ls -A "$f" >left; mount -o remount,size=64m "$f" && "$@" 2>stderr; echo $? >code2; cp -r "$f" kept; }'
        )
        run_it = [sys.executable, "-m", f"asit.bin.{command}", *words]
        subprocess.run(["unshare", "-rm", "bash", "-c", script, "-", folder, size, *run_it], cwd=home, check=True)
        codes = [(home / n).read_text().strip() for n in ("code1", "code2")]
        first = (home / "first").read_text()
        assert codes[0] not in ("0", ""), "succeeded on the full disk: nothing was proved"
        assert "Traceback" not in first, first[-300:]
        assert ".tmp-" not in (home / "left").read_text(), "a temporary file stayed"
        assert codes[1] == "0", (home / "stderr").read_text()[-300:]
        shutil.rmtree(home / folder)
        (home / "kept").rename(home / folder)
        found, expected = result(home, command), place.whole(command, words)
        assert found == expected, "differs from the undisturbed run"
        return 0, 0

    return check


class SkippedError(Exception):
    """This machine cannot make the fault; says why."""


UPDATE = "asit.train.optimizer:Optimizer.update"
PT, MARKER = r"step-\d+\.pt$", r"step-\d+\.json$"


def _cases() -> list[Case]:
    found: list[Case] = []

    def add(promise: str, command: str, target: str, moment: str, counts: tuple[int, ...], path: str = "",
            workers: int = 0, worker: bool = False, fast: tuple[int, ...] = ()) -> None:  # fmt: skip
        what = target.partition(":")[2] + (f"({path.strip('$')})".replace("\\", "") if path else "")
        for count in counts:
            name = f"{command}: {moment} {what} #{count}" + (f", {workers} workers" if workers else "")
            kill = Kill(target, moment, count, path, worker)
            found.append(Case(name, promise, killed(command, kill, workers), count in fast))

    inside = "Killed inside an update"
    add(inside, "pretrain", UPDATE, "before", (1, 2, 5, 7, 12), fast=(5,))
    add(inside, "pretrain", UPDATE, "after", (1, 3, 11))
    writing = "Killed while a checkpoint is written"
    add(writing, "pretrain", "torch:save", "half", (1, 2, 4), fast=(2,))
    add(writing, "pretrain", "torch:save", "after", (1, 3))
    add(writing, "pretrain", "os:replace", "before", (1, 2, 4), PT)
    between = "Killed between a checkpoint's rename and its marker"
    add(between, "pretrain", "os:replace", "after", (1, 2, 4), PT, fast=(1, 2))
    add(between, "pretrain", "os:replace", "before", (1, 3), MARKER)
    add(between, "pretrain", "os:replace", "after", (1, 4), MARKER)
    old = "Killed while old checkpoints are removed"
    for moment in ("before", "after"):
        add(old, "pretrain", "pathlib:Path.unlink", moment, (1, 2), MARKER, fast=(1,) if moment == "after" else ())
        add(old, "pretrain", "pathlib:Path.unlink", moment, (1, 2), PT)
    export = "Killed while the results are exported"
    for moment in ("before", "after"):
        add(export, "pretrain", "os:replace", moment, (1,), r"backbone\.safetensors$", fast=(1,))
        add(export, "pretrain", "os:replace", moment, (1,), r"done\.json$")
    loaders = "A loader's worker killed, or their parent"
    item = "asit.data.crops:Crops.__getitem__"
    add(loaders, "pretrain", item, "before", (3, 9), workers=2, worker=True)
    add(loaders, "pretrain", UPDATE, "before", (3, 8), workers=2)
    averaging = "Killed in fine-tuning with averaged weights"
    add(averaging, "finetune", UPDATE, "before", (1, 5, 8, 12), fast=(5,))
    add(averaging, "finetune", "torch:save", "half", (1, 3))
    add(averaging, "finetune", "os:replace", "after", (1, 2, 4), PT, fast=(2,))
    for moment in ("before", "after"):
        add(averaging, "finetune", "os:replace", moment, (1,), r"model\.safetensors$")
    feats = "Killed in a feature job"
    add(feats, "make_fbank", "asit.kaldi.ark:ArkWriter.write", "before", (1, 4, 8), fast=(4,))
    for moment in ("before", "after"):
        add(feats, "make_fbank", "os:replace", moment, (1,), r"\.ark$", fast=(1,) if moment == "after" else ())
        add(feats, "make_fbank", "os:replace", moment, (1,), r"\.scp$")
    collect = "Killed in asit-collect-feats"
    for moment in ("before", "after"):
        add(collect, "collect_feats", "os:replace", moment, (1, 2), fast=(1,) if moment == "before" else ())
        add("Killed in asit-evaluate", "evaluate", "os:replace", moment, (1, 2))
    for rank in (0, 1):
        found.append(Case(f"pretrain: rank {rank} of 2", "One of two ranks killed", one_rank_killed(rank)))
    for command, size in (("pretrain", "100k"), ("finetune", "60k"), ("make_fbank", "24k")):
        found.append(Case(f"{command}: disk of {size}", "The disk is full", disk_full(command, size)))
    found.append(Case(f"pretrain: {SOAK} kills of one run at random moments", "Soak", soak))
    return found


CASES = _cases()


def try_case(place: Workplace, case: Case) -> dict:
    """The outcome of one case, as it stands in the report."""
    home = place.copy("try")
    began, row = time.monotonic(), {"case": case.name, "promise": case.promise, "kills": 0, "survived": 0}
    try:
        row["kills"], row["survived"] = case.check(place, home)
        row["outcome"] = "held"
    except SkippedError as reason:
        row["outcome"] = f"skipped: {reason}"
    except Exception as error:
        row["outcome"] = f"FAILED: {' '.join(str(error).split())[:300]}"
        row["kills"] = (
            0 if "not reached" in str(error) or "disk" in case.name else SOAK if "Soak" in case.promise else 1
        )
    row["left"] = len(temporaries(home))
    return {**row, "seconds": round(time.monotonic() - began, 1)}
