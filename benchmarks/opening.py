"""Seconds and memory until training can begin, by size of the corpus: python benchmarks/opening.py

Data directories of the form of AudioSet's, with lists of the size and without audio: a clip's features are one matrix
that all share, for what is read of a clip does not depend on how many there are. Each opening is a process of its own
(scale_open.py); benchmarks/scale.py measures the commands that make such directories.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measure import Result, picture
from scale import CLASSES, FRAMES, MELS

from asit.config import Options, option, parse
from asit.features.extract import settings_text
from asit.features.fbank import FbankSettings
from asit.features.stats import Stats
from asit.io.atomic import write_text
from asit.kaldi.ark import ArkWriter
from asit.kaldi.table import read_table


@dataclass(frozen=True)
class Settings(Options):
    """Open data directories of growing size as pretraining and fine-tuning do."""

    clips: tuple[int, ...] = option((20_000, 200_000, 1_000_000, 2_000_000), "sizes")


def data_dir(folder: Path, clips: int) -> Path:
    """A labelled data directory with features."""
    (folder / "conf").mkdir(parents=True)
    random = np.random.default_rng(0)
    with ArkWriter(folder / "one.ark", folder / "one.scp") as writer:
        writer.write("one", random.standard_normal((FRAMES, MELS)).astype(np.float32) * 4 - 4)
    spec = read_table(folder / "one.scp")["one"]
    utts = [f"Y{i:011d}_30000_40000" for i in range(clips)]
    firsts, steps = random.integers(0, CLASSES, clips), random.integers(1, CLASSES, clips)
    labels = [f"m{i:05x},m{(i + k) % CLASSES:05x}" for i, k in zip(firsts.tolist(), steps.tolist(), strict=True)]
    shared = {"feats.scp": spec, "utt2num_frames": str(FRAMES), "wav.scp": "none.flac"}
    for name, value in shared.items():
        write_text(folder / name, "".join(f"{utt} {value}\n" for utt in utts))
    write_text(folder / "utt2spk", "".join(f"{utt} {utt}\n" for utt in utts))
    write_text(folder / "utt2label", "".join(f"{u} {label}\n" for u, label in zip(utts, labels, strict=True)))
    write_text(folder / "labels.txt", "".join(f"m{i:05x} {i}\n" for i in range(CLASSES)))
    write_text(folder / "conf/fbank.yaml", settings_text(FbankSettings(num_mel_bins=MELS)))
    Stats(-4.2677393, 4.5689974, FRAMES).save(folder / "stats.yaml")
    return folder


def opened(data: Path, what: str) -> dict[str, float]:
    """What scale_open.py measures."""
    here = Path(__file__).resolve().with_name("scale_open.py")
    words = [sys.executable, str(here), "--data-dir", str(data), "--what", what, "--json", "true"]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measure, print, save."""
    settings = parse(Settings)
    columns = ["clips", "opened as", "s until open", "CPU s", "s until the first batch", "MiB of the process",
               "MiB with its loaders"]  # fmt: skip
    notes = [
        "Without the start of Python and torch. The process's resident memory at the end; with its loaders, memory "
        "that several share counts once.",
        "Targets at 2 million: open within 20 s, 1.5 GB (1431 MiB) for all processes of a machine.",
    ]
    result = Result("opening", "Opening a data directory", columns, notes=notes)
    lines: dict[str, tuple[list[float], list[float]]] = {"pretraining": ([], []), "fine-tuning": ([], [])}
    for clips in settings.clips:
        with tempfile.TemporaryDirectory() as folder:
            data = data_dir(Path(folder) / "data", clips)
            for shown, (across, up) in lines.items():
                found = opened(data, {"pretraining": "pretrain", "fine-tuning": "finetune"}[shown])
                across.append(clips / 1e6)
                up.append(found["opened"])
                seconds = [f"{found[name]:.1f}" for name in ("opened", "cpu", "first")]
                memory = [f"{found[name]:,.0f}" for name in ("memory", "together")]
                result.rows.append([f"{clips:,}", shown, *seconds, *memory])
    caption = "Seconds until a data directory is open, by the size of the corpus"
    result.figures.append(picture("opening.png", caption, lines, "million clips", "s"))
    result.save()
    result.print()


if __name__ == "__main__":
    main()
