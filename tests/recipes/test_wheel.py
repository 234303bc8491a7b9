"""The wheel: built, installed into a fresh folder, and used from another one, as somebody without a checkout does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

import asit

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("asit", "tools", "egs/TEMPLATE", "setup.py", "pyproject.toml", "README.md", "LICENSE")
SPEECH = ROOT / "egs/mini/corpus/allison_en/conf-invalid.flac"


def call(*words: object, cwd: Path, code: int = 0, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in ("ASIT_ROOT", "PYTHONPATH")}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**clean, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, without a network."""
    folder = tmp_path_factory.mktemp("a wheel")
    for name in SOURCES:
        (folder / name).parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    call(*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", "dist", ".", cwd=folder)
    (built,) = (folder / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a shell that has it, and no checkout."""
    target = tmp_path_factory.mktemp("my site") / "packages"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    call(*pip, "install", "-q", "--no-deps", "--no-index", "--no-compile", "--target", target, wheel, cwd=target.parent)
    path = os.pathsep.join([str(target / "bin"), os.environ["PATH"]])
    return {"PYTHONPATH": str(target), "PATH": path}


def test_it_holds_all_that_is_not_python(wheel: Path) -> None:
    name, version, *_ = wheel.name.split("-")
    assert (name != "asit", version) == (True, asit.__version__), "the name asit is another project's"
    inside = set(zipfile.ZipFile(wheel).namelist())
    tracked = {p for p in (ROOT / "asit").rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    missing = {str(p.relative_to(ROOT)) for p in tracked} - inside
    assert not missing, "package_data of setup.py"
    share = {name.removeprefix("asit/share/") for name in inside if name.startswith("asit/share/")}
    assert {"tools/path.sh", "tools/checksum_folder.py", "egs/TEMPLATE/run.sh", "egs/TEMPLATE/conf/runs.yaml"} <= share
    assert not any(name.startswith(("tools/dev", "tools/install.sh", "egs/TEMPLATE/exp")) for name in share)


def test_commands_and_python(site: dict[str, str], tmp_path: Path) -> None:
    call("asit-embed", "--model", "asit-tiny", "--format", "npy", "--out-dir", "e", SPEECH, cwd=tmp_path, **site)
    found = np.load(tmp_path / "e/conf-invalid.npy")
    np.testing.assert_allclose(found, asit.load("asit-tiny").embed(SPEECH), atol=1e-5)
    told = call(sys.executable, "-c", "import asit; print(asit.__file__)", cwd=tmp_path, **site)
    assert told.strip() == f"{site['PYTHONPATH']}/asit/__init__.py"


def test_a_new_recipe_without_a_checkout(site: dict[str, str], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label in ("low", "high"):
        (tmp_path / "corpus" / label).mkdir(parents=True)
        for i in range(5):
            soundfile.write(tmp_path / "corpus" / label / f"{i}.wav", 0.1 * random.normal(size=8000), 8000)
    words = ("--name", "tones", "--corpus", tmp_path / "corpus", "--egs-dir", "my egs")
    assert "made; look through its conf/" in call("asit-new-recipe", *words, cwd=tmp_path, **site)
    recipe = tmp_path / "my egs/tones"
    call("./run.sh", "--stop-stage", "features", "--nj", "1", cwd=recipe, **site)
    assert (recipe / "data/pool/feats.scp").is_file()
    told = call("./run.sh", cwd=recipe, code=1, PATH="/usr/bin:/bin")
    assert f"activate the one that has {site['PYTHONPATH']}" in told
