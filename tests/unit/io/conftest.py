"""A small, right data directory to break in tests."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asit.kaldi.ark import ArkWriter
from asit.kaldi.data_dir import read_labels, write_data_dir, write_labels
from asit.kaldi.table import read_table

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

UTTS = ["ann-1", "ann-2", "ann-3", "bob's-1", "bob's-2", "cy-1", "cy-2"]
SPEAKERS = {utt: utt.rpartition("-")[0] for utt in UTTS}


@pytest.fixture
def right(tmp_path) -> Path:
    """Seven utterances of three speakers with every table; one id and all paths are awkward."""
    audio = tmp_path / "au dio"
    audio.mkdir()
    for i, utt in enumerate(UTTS):
        tone = 0.3 * np.sin(np.arange(8000) * (i + 1) / 40)
        soundfile.write(audio / f"{utt}.wav", tone, 16000)
    with ArkWriter(audio / "f.ark", audio / "f.scp", compression=2) as writer:
        for i, utt in enumerate(UTTS):
            writer.write(utt, np.random.default_rng(i).normal(size=(48, 4)))
    path = tmp_path / "data dir"
    write_data_dir(
        path,
        {
            "wav.scp": {utt: str(audio / f"{utt}.wav") for utt in UTTS},
            "utt2spk": SPEAKERS,
            "text": dict.fromkeys(UTTS, "some words"),
            "utt2label": {utt: "dog" if i % 2 else "cat,dog" for i, utt in enumerate(UTTS)},
            "utt2dur": dict.fromkeys(UTTS, "0.5"),
            "utt2num_frames": dict.fromkeys(UTTS, "48"),
            "feats.scp": read_table(audio / "f.scp", check_order=False),
            "spk2gender": dict.fromkeys(sorted(set(SPEAKERS.values())), "f"),
        },
    )
    write_labels(path / "labels.txt", ["cat", "dog"])
    assert read_labels(str(path / "labels.txt")) == {"cat": 0, "dog": 1}
    (path / "frame_shift").write_text("0.01\n")
    (path / "conf").mkdir()
    (path / "conf" / "fbank.yaml").write_text("num_mel_bins: 4\n")
    return path


@pytest.fixture
def segmented(tmp_path, right) -> Path:
    """Two recordings cut into five segments."""
    path = tmp_path / "segmented"
    wav = read_table(right / "wav.scp")
    segments = {f"{r}-{k}": f"{r} {0.1 * k:.2f} {0.1 * k + 0.1:.2f}" for r in ("ann-1", "cy-1") for k in range(3)}
    del segments["cy-1-2"]
    write_data_dir(
        path,
        {
            "wav.scp": {r: wav[r] for r in ("ann-1", "cy-1")},
            "segments": segments,
            "utt2spk": {utt: utt.partition("-")[0] for utt in segments},
        },
    )
    return path
