"""Time and memory of AudioSet-2M's data directories: two million entries from lists to batches, without any audio.

    python benchmarks/scale.py --out docs/scale.md

Makes lists of the official form and size and as many empty files in folders, then runs each command of the recipe as
its own process and measures its wall time, CPU time and largest resident memory. The archives that feats.scp names
hold one matrix: what is read of a clip does not depend on how many there are.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asit.config import Options, option, parse
from asit.errors import AsitError
from asit.features.extract import settings_text
from asit.features.fbank import FbankSettings
from asit.features.stats import Stats
from asit.io.atomic import write_text
from asit.kaldi.ark import ArkWriter
from asit.kaldi.table import read_table
from asit.recipes.provenance import provenance

ROOT = Path(__file__).resolve().parents[1]
LOCAL = ROOT / "egs/audioset/local"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
CLASSES, FRAMES, MELS = 527, 998, 128
OTHER_LISTS = {"balanced_train": 22_160, "eval": 20_371}
MISSING = 0.05  # share of the segments without a file
# Runs a process and tells its seconds and KiB. A child's largest memory counts from that of the process that starts it,
# so the one that does must be small.
WATCH = """
import os, sys, time
began = time.monotonic()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 1, 2)])
_, status, used = os.wait4(child, 0)
print(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


@dataclass(frozen=True)
class Settings(Options):
    """Measure the commands of egs/audioset on lists of the official size."""

    segments: int = option(2_041_789, "unbalanced segments; the other lists have their official sizes", least=1000)
    work: str = option("", "folder for lists, files and data directories, 2.5 GB; empty: a temporary one")
    out: str = option("", "Markdown file to write; empty: only print")
    nj: int = option(32, "parts of the split", least=2)


@dataclass(frozen=True)
class Cost:
    """Of one process: seconds, and MiB of resident memory at its largest."""

    step: str
    wall: float
    cpu: float
    memory: float
    words: str


def make_lists(folder: Path, audio: Path, segments: int) -> int:
    """Lists and classes of the official form, and an empty file for 95 % of the segments; the number of files."""
    rng = random.Random(0)
    folder.mkdir(parents=True)
    rows = "".join(f'{i},/m/0{i:05x},"Sound {i}, of a kind"\n' for i in range(CLASSES))
    write_text(folder / "class_labels_indices.csv", "index,mid,display_name\n" + rows)
    shares = np.array([1 / (1 + rank) for rank in range(CLASSES)])  # few labels are on most clips, as in AudioSet
    count = files = 0
    seen: set[str] = set()
    for name, size in (*OTHER_LISTS.items(), ("unbalanced_train", segments)):
        numbers = rng.choices(range(CLASSES), shares, k=3 * size)
        lines, positive = [], 0
        for i in range(size):
            video = "".join(rng.choices(LETTERS, k=11))
            if video in seen:
                raise AsitError(f"{video}: drawn twice")
            seen.add(video)
            labels = sorted(set(numbers[3 * i : 3 * i + 1 + i % 3]))
            positive += len(labels)
            lines.append(f'{video}, 30.000, 40.000, "{",".join(f"/m/0{label:05x}" for label in labels)}"')
            if i % 1000 == 0:
                part = audio / name / f"part{i // 1000:04d}"
                part.mkdir(parents=True)
            if rng.random() >= MISSING:
                os.close(os.open(part / f"Y{video}_30000_40000.flac", os.O_CREAT | os.O_WRONLY))
                files += 1
        count += size
        head = f"# num_ytids={size}, num_segs={size}, num_unique_labels={CLASSES}, num_positive_labels={positive}"
        columns = "# YTID, start_seconds, end_seconds, positive_labels"
        text = "\n".join(["# Segments csv created for benchmarks/scale.py", head, columns, *lines])
        write_text(folder / f"{name}_segments.csv", text + "\n")
    return files


def make_features(data: Path, fbank: Path, nj: int) -> None:
    """What the jobs of asit-make-fbank leave for each part; an archive holds one matrix, which all its clips share."""
    fbank.mkdir()
    matrix = np.random.default_rng(0).standard_normal((FRAMES, MELS)).astype(np.float32) * 4 - 4
    for j in range(1, nj + 1):
        stem = fbank / f"raw_fbank_all.{j}"
        with ArkWriter(f"{stem}.ark", f"{stem}.one") as writer:
            writer.write("one", matrix)
        offset = int(read_table(f"{stem}.one")["one"].rpartition(":")[2])
        utts = list(read_table(data / f"all/split{nj}/{j}/utt2spk"))
        texts = {"scp": f"{stem}.ark:{offset:011d}", "utt2num_frames": str(FRAMES), "utt2dur": "10"}
        for suffix, value in texts.items():
            write_text(f"{stem}.{suffix}", "".join(f"{utt} {value}\n" for utt in utts))
        write_text(f"{stem}.failed_utts", "")
        write_text(f"{stem}.fbank.yaml", settings_text(FbankSettings(num_mel_bins=MELS)))


def measure(step: str, command: Sequence[str | Path], cwd: Path, shown: str = "") -> Cost:
    """Run a process to its end; AsitError when it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, *map(str, command)]
    watched = [sys.executable, "-I", "-S", "-c", WATCH, *words]
    done = subprocess.run(watched, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).strip()
    if done.returncode:
        raise AsitError(f"{step}: exit code {done.returncode}: {said[-2000:]}")
    *lines, last = said.splitlines()
    wall, cpu, memory = map(float, last.split())
    cost = Cost(step, wall, cpu, memory / 1024, shown or (lines[-1] if lines else ""))
    print(f"{step}: {wall:.1f} s, {cpu:.1f} s CPU, {cost.memory:,.0f} MiB; {cost.words}", file=sys.stderr)
    return cost


def asit(name: str, *options: str | Path) -> list[str | Path]:
    """The words behind ``python`` for asit-<name>."""
    return ["-c", f"import sys; from asit.bin.{name} import main; sys.exit(main())", *options]


def run(settings: Settings, work: Path) -> list[Cost]:
    """All measurements, in the order of the recipe's stages."""
    csv, audio, data, fbank = work / "csv", work / "audio", work / "data", work / "fbank"
    print("making lists and files (not measured)", file=sys.stderr)
    files = make_lists(csv, audio, settings.segments)
    nj, as2m = settings.nj, data / "as2m"
    official = ("--official", "false")
    costs = [
        measure("read and check the lists", [LOCAL / "lists.py", "--csv-dir", csv, *official], work, "three lists"),
        measure(
            f"prepare: find {files:,} files, write all, as2m, as20k, eval",
            [LOCAL / "prepare.py", "--csv-dir", csv, "--audio-dir", audio, "--data", data, *official],
            work,
            "asit `local/prepare.py`",
        ),
        measure("validate as2m, every file", asit("validate_data_dir", "--data-dir", as2m), work),
        measure(f"split all into {nj}", asit("split_data_dir", "--data-dir", data / "all", "--nj", str(nj)), work),
    ]
    make_features(data, fbank, nj)
    names = ("--out-dir", fbank, "--name", "raw_fbank_all", "--nj", str(nj))
    sets = [data / name for name in ("as2m", "as20k", "eval")]
    costs += [
        measure("collect features of all", asit("collect_feats", "--data-dir", data / "all", *names), work),
        measure("count found", [LOCAL / "count_found.py", "--data", data, "--sets", "as2m", "as20k", "eval"], work),
        measure(
            "select features of as2m, as20k, eval",
            asit("select_feats", "--from-dir", data / "all", "--data-dirs", *sets),
            work,
            "",
        ),
    ]
    Stats(-4.2677393, 4.5689974, FRAMES).save(as2m / "stats.yaml")
    random_part = ("--random", "100000" if settings.segments > 10**6 else "500", "--out-dir", data / "part")
    costs.append(measure("subset as2m by chance", asit("subset_data_dir", "--data-dir", as2m, *random_part), work))
    lines = (as2m / "feats.scp").read_bytes().split(b"\n", 1)
    (as2m / "feats.scp").write_bytes(lines[1])  # one utterance loses its features: every table must follow
    costs.append(
        measure(
            "fix as2m, one clip without features",
            asit("fix_data_dir", "--data-dir", as2m, "--drop-without-feats", "true"),
            work,
        )
    )
    here = Path(__file__).resolve().with_name("scale_open.py")
    costs.append(measure("open for pretraining, 20 batches", [here, "--data-dir", as2m, "--what", "pretrain"], work))
    costs.append(measure("open for fine-tuning, 20 batches", [here, "--data-dir", as2m, "--what", "finetune"], work))
    return costs


def report(settings: Settings, costs: Sequence[Cost]) -> str:
    """The Markdown file."""
    facts = provenance()
    dirty = " and uncommitted changes" if facts.get("dirty") else ""
    lines = [
        "# Two million clips",
        "",
        "Generated by `python benchmarks/scale.py --out docs/scale.md`; not edited by hand.",
        "",
        f"Lists of the form and size of AudioSet's ({settings.segments + sum(OTHER_LISTS.values()):,} segments, 5 % of "
        "them without a file), empty audio files in folders of a thousand, and the commands of "
        "[`egs/audioset`](../egs/audioset/README.md), each as one process with one thread. Feature extraction and "
        "training themselves are not measured here: [`benchmarks/plan.py`](../benchmarks/plan.py).",
        "",
        "| step | wall time, s | CPU time, s | largest memory, MiB |",
        "|---|---|---|---|",
        *(f"| {c.step} | {c.wall:.0f} | {c.cpu:.0f} | {c.memory:,.0f} |" for c in costs),
        f"| all | {sum(c.wall for c in costs):.0f} | {sum(c.cpu for c in costs):.0f} "
        f"| {max(c.memory for c in costs):,.0f} (largest) |",
        "",
        "What the last two said of themselves (seconds until the first batch without the start of Python and torch, "
        "resident memory of the process, and proportional memory of the process with its loaders together):",
        "",
        *(f"- {c.words}" for c in costs[-2:]),
        "",
        f"Measured {facts['date'][:10]}, revision {facts.get('git', 'unknown')}{dirty}, {facts['cpu']}, "
        f"{facts['cores']} cores that other work shared, Python {facts['python']}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, write."""
    settings = parse(Settings)
    out = Path(settings.out).resolve() if settings.out else None
    work = Path(settings.work or tempfile.mkdtemp(prefix="asit-scale-")).resolve() / "scale"
    work.mkdir(parents=True)
    try:
        text = report(settings, run(settings, work))
        print(text)
        if out:
            write_text(out, text)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
