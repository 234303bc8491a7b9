"""What we write, judged by Kaldi's own scripts. They are not part of this repository: set KALDI_ROOT to a checkout."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from asit.kaldi.data_dir_combine import Renaming, combine, copy
from asit.kaldi.data_dir_fix import fix
from asit.kaldi.data_dir_parts import split, subset
from asit.kaldi.data_dir_validate import find_problems

ROOT = os.environ.get("KALDI_ROOT", "")
SCRIPTS = Path(ROOT, "egs/wsj/s5")
pytestmark = pytest.mark.skipif(
    not (SCRIPTS / "utils/validate_data_dir.sh").is_file(),
    reason="Kaldi's validator is not here: set KALDI_ROOT to a checkout of kaldi-asr/kaldi",
)


def kaldi(script, *words):
    return subprocess.run(
        ["bash", f"utils/{script}", *words],
        cwd=SCRIPTS,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )


def accepts(path, *options):
    with tempfile.TemporaryDirectory() as folder:  # Kaldi's scripts do not quote the name: none with a space
        link = Path(folder, "data")
        link.symlink_to(path)
        done = kaldi("validate_data_dir.sh", *options, str(link))
    return done.returncode == 0 and "Successfully validated" in done.stdout


def test_accepts_whatever_we_write(right, segmented, tmp_path):
    no_feats = ("--no-feats", "--no-text")
    assert accepts(right)
    assert accepts(segmented, *no_feats)
    for out in split(right, 3) + split(right, 2, by_speaker=True):
        assert accepts(out)
    assert all(accepts(out, *no_feats) for out in split(segmented, 5))
    assert accepts(subset(right, tmp_path / "sub", ["ann-1", "cy-2"]).path)
    assert accepts(copy(right, tmp_path / "copy", Renaming(utt_prefix="x-", spk_prefix="x-")).path)
    assert accepts(combine(tmp_path / "both", [right, tmp_path / "copy"]).path)
    (right / "text").write_text("cy-1 x\nann-1 x\nann-2 x\n")
    (right / "spk2utt").unlink()
    assert not accepts(right)
    fix(right)
    assert accepts(right)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("utt2spk", "ann-1 ann\n", ""),
        ("spk2utt", "ann ann-1 ann-2", "ann ann-2 ann-1"),
        ("text", "ann-1 some words\nann-2 some words\n", "ann-2 some words\nann-1 some words\n"),
        ("text", "words", "</s>"),
        ("text", "cy-2 some words\n", "cy-2 some words"),
        ("utt2dur", "ann-1 0.5", "ann-1 0"),
        ("utt2num_frames", "ann-1 48", "ann-1 4.8"),
        ("feats.scp", "ann-1", "ann-0"),
        ("spk2gender", "ann f", "ann x"),
        ("wav.scp", "ann-1 ", "ann-1 ~"),
    ],
)
def test_what_kaldi_refuses_we_refuse(right, name, old, new):
    text = (right / name).read_text()
    assert old in text
    (right / name).write_text(text.replace(old, new, 1))
    assert not accepts(right)
    assert find_problems(right) != []


def test_even_split_is_kaldis(right):
    ours = {out: Path(out, "utt2spk").read_text() for out in split(right, 3)}
    link = right.parent / "kaldi-data"
    copy(right, link)
    done = kaldi("split_data.sh", "--per-utt", str(link), "3")
    assert done.returncode == 0, done.stderr
    theirs = [(link / "split3utt" / str(j) / "utt2spk").read_text() for j in (1, 2, 3)]
    assert list(ours.values()) == theirs
