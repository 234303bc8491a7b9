"""The features stage of a recipe through each back end, on clips of the mini recipe: the same bytes everywhere."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import finish, start

from asit.kaldi.data_dir import write_data_dir

ROOT = Path(__file__).parents[2]
CLIPS = sorted((ROOT / "egs/mini/corpus").rglob("*.flac"))[:7]


def recipe(folder):
    """A recipe that is only edited in cmd.sh."""
    (folder / "conf").mkdir(parents=True)
    (folder / "conf/fbank.yaml").write_text((ROOT / "egs/mini/conf/fbank.yaml").read_text())
    (folder / "path.sh").write_text(f'. "{ROOT}/tools/path.sh"\n')
    clips = {f"clip-{i}": str(path) for i, path in enumerate(CLIPS)}
    write_data_dir(folder / "data/some", {"wav.scp": clips, "utt2spk": dict.fromkeys(clips, "clip")})
    return folder


def features(cluster, folder, command, nj, **environment):
    """Archives by name, and matrices by utterance as bytes."""
    words = [ROOT / "tools/make_fbank.sh", "--nj", nj, "--cmd", command, "--resample", "true"]
    finish(start(cluster, recipe(folder), *words, "data/some", "exp/log", "fbank", **environment))
    archives = {p.name: p.read_bytes() for p in (folder / "fbank").iterdir()}
    logs = [p.read_text().splitlines()[-1] for p in (folder / "exp/log").glob("*.log")]
    assert len(logs) == nj
    assert all("status 0" in line or "code 0" in line for line in logs)
    return archives, (folder / "data/some/feats.scp").read_text()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The same on this machine alone, with another number of jobs too."""
    here = SimpleNamespace(environment=os.environ)
    two = features(here, tmp_path_factory.mktemp("a") / "local 2", "asit-run-local", 2)
    three = features(here, tmp_path_factory.mktemp("a") / "local 3", "asit-run-local", 3)
    assert joined(two) == joined(three)
    return two


def joined(found):
    archives, _ = found
    return b"".join(archives[name] for name in sorted(archives) if name.endswith(".ark"))


def test_slurm(slurm, local, tmp_path):
    assert features(slurm, tmp_path / "my recipe", "asit-run-slurm --mem 200M --retries 1", 2) == local


def test_grid_engine(grid_engine, local, tmp_path):
    assert features(grid_engine, tmp_path / "my recipe", "asit-run-grid-engine --mem 200M", 2) == local


def test_pbs(pbs, local, tmp_path):
    assert features(pbs, tmp_path / "my recipe", "asit-run-pbs --mem 200M", 2) == local
