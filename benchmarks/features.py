"""Speed of the whole feature stage, audio files to archives, and how it grows: python benchmarks/features.py

Real speech cut to clips of 10 s. CPU time of one process; candidates take turns within each round. Peers read with
soundfile and write with kaldiio; those that cannot be imported are left out (torchaudio's file may be named as in
benchmarks/fbank.py).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from fbank import kaldi_native_fbank, lhotse, torchaudio
from measure import Result, picture, ratio, take_turns
from speech import RATE, data_dir

from asit.config import Options, option, parse
from asit.features.extract import ExtractSettings, extract
from asit.features.fbank import FbankSettings
from asit.kaldi.ark import ArkWriter
from asit.kaldi.data_dir import DataDir

CPU = torch.device("cpu")
SECONDS = 10.0


@dataclass(frozen=True)
class Settings(Options):
    """Time the feature stage, interleaved with other implementations where they can be imported."""

    clips: int = option(40, "clips of 10 s", least=2)
    rounds: int = option(9, "rounds; each candidate runs once in each", least=3)
    lengths: tuple[float, ...] = option((1.0, 3.0, 10.0, 60.0, 600.0), "clip lengths in seconds")
    bins: tuple[int, ...] = option((40, 80, 128), "mel bins")
    jobs: tuple[int, ...] = option((1, 2), "numbers of processes at once")
    sizes: tuple[int, ...] = option((50, 200, 800), "numbers of clips, for the memory")
    kaldi_py: str | None = option(None, "torchaudio/compliance/kaldi.py, to be loaded without the rest of torchaudio")


def ours(data: str, out: Path, **options: object) -> Callable[[], object]:
    """Our stage."""
    settings = ExtractSettings(data_dir=data, out_dir=str(out), name="asit", **options)
    return lambda: extract(settings)


def theirs(data: str, out: Path, compute: Callable[[np.ndarray], np.ndarray]) -> Callable[[], object]:
    """The stage with another library's features, read by soundfile and written by kaldiio."""
    paths = DataDir(data).wav_scp

    def run() -> None:
        with ArkWriter(out / "peer.ark", out / "peer.scp", backend="kaldiio") as writer:
            for utt, path in paths.items():
                writer.write(utt, compute(soundfile.read(path, dtype="float32")[0]))

    return run


def against_peers(folder: Path, settings: Settings) -> None:
    """Table: wav and flac, formats of archives, other implementations."""
    data = {suffix: data_dir(folder / suffix, settings.clips, SECONDS, suffix) for suffix in ("wav", "flac")}
    kinds: dict[str, Callable[[str], Callable[[], object]]] = {
        "asit, float32": lambda d: ours(d, folder),
        "asit, one byte (2)": lambda d: ours(d, folder, compression=2),
        "asit, one byte (5)": lambda d: ours(d, folder, compression=5),
        "asit, 80 bins": lambda d: ours(d, folder, fbank=FbankSettings(num_mel_bins=80)),
    }
    peers = {
        "torchaudio, 128 bins": torchaudio(RATE, 128, settings.kaldi_py),
        "lhotse, 128 bins": lhotse(RATE, 128),
        "kaldi-native-fbank, 80 bins": kaldi_native_fbank(RATE, 80),
    }
    for name, compute in peers.items():
        if compute:
            kinds[name] = lambda d, compute=compute: theirs(d, folder, compute)
    runs = {f"{name} {suffix}": make(data[suffix]) for name, make in kinds.items() for suffix in data}
    times = take_turns(runs, settings.rounds, CPU)
    first = next((n for n in kinds if n.startswith("torchaudio")), "asit, float32")
    rows = []
    for name in kinds:
        speeds = [settings.clips * SECONDS / statistics.median(times[f"{name} {s}"]) for s in data]
        ratios = [ratio(times, f"{first} {s}", f"{name} {s}") for s in data]
        rows.append([name, *(f"{speed:,.0f}" for speed in speeds), *(f"{r:.2f}" for r in ratios)])
    columns = ["what", "wav, x real time", "flac, x real time", f"wav, x {first}", f"flac, x {first}"]
    notes = [
        f"{settings.clips} clips of 10 s at 16 kHz, 128 bins unless said; one process, reading, features, checks and "
        "writing to a local disk, without the start of Python.",
        "Targets: 1500 (wav) and 900 (flac) times real time. Decoding flac is libFLAC's: about 2.5 ms of a clip's 5.",
    ]
    figures = [by_length(folder, settings), by_bins(data["wav"], folder, settings)]
    Result("features", "The feature stage: audio files to archives", columns, rows, notes, figures).save()


def by_length(folder: Path, settings: Settings) -> dict[str, str]:
    """Speed by length of the clips."""
    runs, amount = {}, {}
    for seconds in settings.lengths:
        count = max(1, round(settings.clips * SECONDS / seconds))
        for suffix in ("wav", "flac"):
            name = f"{suffix} {seconds}"
            runs[name] = ours(data_dir(folder / f"length {name}", count, seconds, suffix, max(400, seconds)), folder)
            amount[name] = count * seconds
    times = take_turns(runs, 5, CPU)
    series = {
        suffix: (
            [float(np.log10(s)) for s in settings.lengths],
            [amount[f"{suffix} {s}"] / statistics.median(times[f"{suffix} {s}"]) for s in settings.lengths],
        )
        for suffix in ("wav", "flac")
    }
    caption = "The feature stage by length of the clips (1 s to 10 min)"
    return picture("features_length.png", caption, series, "log10 of the seconds of a clip", "x real time, one core")


def by_bins(data: str, folder: Path, settings: Settings) -> dict[str, str]:
    """Speed by number of mel bins."""
    base = FbankSettings()
    runs = {str(n): ours(data, folder, fbank=replace(base, num_mel_bins=n)) for n in settings.bins}
    times = take_turns(runs, 5, CPU)
    speeds = [settings.clips * SECONDS / statistics.median(times[str(n)]) for n in settings.bins]
    caption = "The feature stage by number of mel bins (wav)"
    series = {"wav": (list(settings.bins), speeds)}
    return picture("features_bins.png", caption, series, "mel bins", "x real time, one core")


def process(data: str, out: Path, name: str) -> subprocess.Popen[bytes]:
    """asit-make-fbank as its own process; prints its largest resident memory in MiB."""
    code = (
        "import sys; from asit.features.extract import ExtractSettings, extract\n"
        "extract(ExtractSettings(data_dir=sys.argv[1], out_dir=sys.argv[2], name=sys.argv[3]))\n"
        "peak = [line for line in open('/proc/self/status') if line.startswith('VmHWM')]\n"  # ru_maxrss: the parent's
        "print(int(peak[0].split()[1]) / 1024)"
    )
    words = [sys.executable, "-c", code, data, str(out), name]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def growth(folder: Path, settings: Settings) -> None:
    """Table: CPU time, wall time and memory by number of processes and of clips."""
    rows = []
    by_jobs: dict[int, float] = {}
    by_clips: dict[int, float] = {}
    biggest = max(settings.sizes)
    for count in settings.sizes:
        data = data_dir(folder / f"size {count}", count, SECONDS, "wav")
        for jobs in settings.jobs if count == biggest else (1,):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.perf_counter()
            running = [process(data, folder, f"job{j}") for j in range(jobs)]
            memory = max(float(p.communicate()[0]) for p in running)
            wall = time.perf_counter() - began
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            audio = jobs * count * SECONDS
            if count == biggest:
                by_jobs[jobs] = audio / wall
            if jobs == 1:
                by_clips[count] = cpu
            rows.append(
                [
                    str(jobs),
                    f"{jobs * count:,}",
                    f"{cpu:.1f}",
                    f"{audio / cpu:,.0f}",
                    f"{audio / wall:,.0f}",
                    f"{memory:.0f}",
                ]
            )
    columns = ["processes", "clips", "CPU s", "x real time per core", "x real time, wall", "MiB of a process"]
    notes = [
        f"wav, {biggest:,} clips a process where there are several; with the start of Python (about 1 s of CPU).",
        "Wall time says what the machine was not doing otherwise; the CPU time of all processes grows with the clips "
        "alone. Memory does not grow: a process holds one clip.",
    ]
    cores = f"processes (nj) on {os.cpu_count()} cores"
    figures = [
        picture("features_nj.png", "The feature stage by number of processes",
                {"wav": (list(by_jobs), list(by_jobs.values()))}, cores, "x real time, wall"),
        picture("features_clips.png", "The feature stage by size of the corpus, one process",
                {"wav": (list(by_clips), list(by_clips.values()))}, "clips of 10 s", "CPU s"),
    ]  # fmt: skip
    Result("growth", "The feature stage by number of processes and clips", columns, rows, notes, figures).save()


def main() -> None:
    """Print and save the tables."""
    settings = parse(Settings)
    with tempfile.TemporaryDirectory() as name:
        against_peers(Path(name), settings)
        growth(Path(name), settings)


if __name__ == "__main__":
    main()
