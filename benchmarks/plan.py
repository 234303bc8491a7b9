"""What ASiT on AudioSet-2M takes on 1, 8 and 64 GPUs and 100 cores: python benchmarks/plan.py

Measured on this machine: features per core-hour (asit-make-fbank on real speech, joined to clips of 10 s), size of a
checkpoint, floating-point operations of one clip's forward and backward passes (counted by torch), and the time of
that on this CPU. Not measured: anything about GPUs. Their time is operations / (peak x share), with NVIDIA's published
dense bf16 peaks; the share of the peak and the loss from scaling are assumptions and can be changed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from plain import PlainAttention, as_published
from torch.utils.flop_counter import FlopCounterMode

from asit import registry
from asit.config import Options, option, parse
from asit.io.audio import read_audio
from asit.kaldi.data_dir import write_data_dir
from asit.runs.pretrain import PretrainSettings

ROOT = Path(__file__).resolve().parents[1]
CLIPS = 2_041_789 + 22_160  # AudioSet's unbalanced and balanced training segments, of 10 s (Gemmeke et al. 2017)
SECONDS = 10.0
RATE, MELS = 16000, 128
PEAKS = {"A100 (312 TFLOP/s)": 312e12, "H100/H200 (989 TFLOP/s)": 989e12}  # dense bf16, NVIDIA's data sheets
SCALING = {1: 1.0, 8: 0.95, 64: 0.85}  # assumed


@dataclass(frozen=True)
class Settings(Options):
    """Plan a pretraining on AudioSet-2M from what can be measured here."""

    clips: int = option(60, "clips of 10 s for the feature measurement", least=10)
    sizes: tuple[str, ...] = option(("tiny", "small", "base"), "models")
    epochs: int = option(100, "epochs", least=1)
    utilisation: float = option(0.3, "assumed share of a GPU's peak", above=0, most=1)
    cores: int = option(100, "cores for the features", least=1)


def make_clips(folder: Path, count: int) -> None:
    """A data directory of clips of 10 s, from the mini recipe's speech."""
    speech = np.concatenate(
        [read_audio(str(p), RATE, resample=True)[0] for p in sorted((ROOT / "egs/mini/corpus").rglob("*.flac"))[:150]]
    )
    length = int(SECONDS * RATE)
    paths = {}
    folder.mkdir(parents=True)
    for i in range(count):
        start = i * length % max(1, len(speech) - length)
        paths[f"clip-{i:04d}"] = str(folder / f"{i}.flac")
        soundfile.write(paths[f"clip-{i:04d}"], speech[start : start + length], RATE)
    write_data_dir(folder / "data", {"wav.scp": paths, "utt2spk": dict.fromkeys(paths, "clip")})


def cpu_seconds(folder: Path) -> float:
    """CPU time of asit-make-fbank on a folder's clips."""
    words = ["--data-dir", folder / "data", "--out-dir", folder / "fbank", "--name", "f", "--num-mel-bins", MELS]
    command = [sys.executable, "-c", "import sys; from asit.bin.make_fbank import main; sys.exit(main())", *words]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(w) for w in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def features(count: int) -> tuple[float, float]:
    """(hours of audio per core-hour, bytes of a clip's features)."""
    with tempfile.TemporaryDirectory() as name:
        few, many = Path(name) / "few", Path(name) / "many"
        make_clips(few, 1)
        make_clips(many, count + 1)
        spent = cpu_seconds(many) - cpu_seconds(few)  # without the start of Python
        size = (many / "fbank/f.ark").stat().st_size / (count + 1)
    return count * SECONDS / spent, size


@dataclass(frozen=True)
class Cost:
    """Of a model: ``flop`` and CPU ``seconds`` of one clip's update, sizes in bytes."""

    size: str
    trained: int
    checkpoint: int
    flop: float
    seconds: float


def cost(size: str) -> Cost:
    """Count one clip's forward and backward passes and what a checkpoint holds."""
    config = ROOT / "egs/mini/conf/pretrain_asit_v2.yaml"
    settings = parse(PretrainSettings, ["--config", str(config), "--size", size])
    crops, method = settings.crops, settings.method
    module = registry.load("methods", method.name)
    learner = module.build(method.settings, frames=crops.global_frames, mels=MELS, steps=1000, steps_per_epoch=100)
    # torch counts the products of explicit attention, but not those of its fused kernel for the CPU.
    as_published(learner, PlainAttention)
    generator = torch.Generator().manual_seed(0)
    batch = {
        "global_crops": torch.randn(2, 2, 1, crops.global_frames, MELS, generator=generator),
        "local_crops": torch.randn(crops.local_crops, 2, 1, crops.local_frames, MELS, generator=generator),
        "padded": torch.zeros(2, 2, dtype=torch.bool),
        "utts": ["a", "b"],
    }
    began = time.process_time()
    with FlopCounterMode(display=False) as counter:
        learner.losses(batch, 1, generator)["loss"].backward()
    seconds = time.process_time() - began
    trained = sum(p.numel() for p in learner.trained_module().parameters() if p.requires_grad)
    held = sum(t.numel() * t.element_size() for t in learner.state_dict().values())
    return Cost(size, trained, held + 8 * trained, counter.get_total_flops() / 2, seconds / 2)  # Adam: two moments


def duration(seconds: float) -> str:
    """In days or, where these are few, hours."""
    return f"{seconds / 86400:,.1f} days" if seconds > 2 * 86400 else f"{seconds / 3600:,.1f} h"


def main() -> None:
    """Print the tables."""
    settings = parse(Settings)
    torch.manual_seed(0)
    hours = CLIPS * SECONDS / 3600
    speed, size = features(settings.clips)
    print(f"AudioSet-2M: {CLIPS:,} clips, {hours:,.0f} h; {settings.epochs} epochs\n")
    print("| Features (measured) | |\n|---|---|")
    print(f"| hours of audio per core-hour | {speed:,.0f} |")
    print(f"| all of it on one core | {hours / speed:.1f} h |")
    print(f"| on {settings.cores} cores | {60 * hours / speed / settings.cores:.0f} min |")
    print(f"| archives, float32 | {CLIPS * size / 1e9:,.0f} GB |")
    print(f"| archives, --compression 5 (8 bits) | {CLIPS * size / 4e9:,.0f} GB |\n")
    costs = [cost(name) for name in settings.sizes]
    print("| Model | trained parameters | checkpoint | GFLOP a clip | CPU core-seconds a clip |\n|---|---|---|---|---|")
    for c in costs:
        print(
            f"| {c.size} | {c.trained / 1e6:.1f} M | {c.checkpoint / 1e6:,.0f} MB | {c.flop / 1e9:,.0f} "
            f"| {c.seconds:.1f} |"
        )
    print(f"\nGPU time, NOT measured: {settings.utilisation:.0%} of the peak assumed, scaling {SCALING}\n")
    print("| Model | GPU | step of 20 clips a GPU | 1 GPU | 8 GPUs | 64 GPUs |\n|---|---|---|---|---|---|")
    for c in costs:
        for gpu, peak in PEAKS.items():
            rate = peak * settings.utilisation
            total = CLIPS * settings.epochs * c.flop / rate
            times = " | ".join(duration(total / count / share) for count, share in SCALING.items())
            print(f"| {c.size} | {gpu} | {1000 * 20 * c.flop / rate:.0f} ms | {times} |")


if __name__ == "__main__":
    main()
