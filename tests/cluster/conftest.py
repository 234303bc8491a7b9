"""Real schedulers on this machine, each for all tests of a run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import grid_engine_cluster
import slurm_cluster

STARTED: list[subprocess.Popen[str]] = []
BIN = Path(sys.executable).parent


def _interrupt(number, frame):
    raise KeyboardInterrupt


@pytest.fixture(scope="session", autouse=True)
def _terminated_is_interrupted():
    """SIGTERM would end pytest without taking the daemons down."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def scratch():
    """A folder with a short path: sockets have names of at most 108 characters."""
    folder = Path(tempfile.mkdtemp(prefix="asit."))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def slurm(scratch):
    """A running Slurm of two nodes."""
    if reason := slurm_cluster.reason_to_skip():
        pytest.skip(reason)
    home = scratch / "slurm"
    home.mkdir()
    cluster = slurm_cluster.SlurmCluster(home)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def grid_engine(scratch):
    """A running Grid Engine of one host."""
    if reason := grid_engine_cluster.reason_to_skip():
        pytest.skip(reason)
    cluster = grid_engine_cluster.GridEngineCluster(scratch / "sge")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def pbs(tmp_path):
    """Stand-ins for the commands of PBS."""
    home, bin_folder = tmp_path / "stub", tmp_path / "bin"
    home.mkdir()
    bin_folder.mkdir()
    stub = Path(__file__).parent / "pbs_stub.py"
    for name in ("qsub", "qstat", "qdel"):
        # By way of sh: a first line cannot name an interpreter whose path holds a space.
        (bin_folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stub}" {name} "$@"\n')
        (bin_folder / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "PBS_STUB": str(home)}
    return SimpleNamespace(home=home, environment=environment)


def start(cluster, folder, *words, **environment):
    """Start one of our commands, as a recipe would."""
    mine = {"PATH": f"{BIN}:{cluster.environment['PATH']}", "ASIT_POLL_SECONDS": "0.5", "OMP_NUM_THREADS": "1"}
    mine |= {"XDG_CONFIG_HOME": str(folder / "no-config")}
    process = subprocess.Popen(
        [str(w) for w in words],
        cwd=folder,
        env={**cluster.environment, **mine, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    STARTED.append(process)
    return process


@pytest.fixture(autouse=True, scope="module")
def _none_left():
    """End the commands that failed tests have left running; they cancel their jobs."""
    yield
    for process in STARTED:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=60)
    STARTED.clear()


def finish(process, code=0, timeout=300):
    """What a command printed, once it has ended with the expected code."""
    try:
        printed = process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        process.terminate()
        pytest.fail(f"not finished after {timeout} s: {process.communicate(timeout=30)[0]}")
    assert process.returncode == code, printed
    return printed


@pytest.fixture
def run():
    """Run one of our commands: run(cluster, folder, *words, code=0) -> what it printed."""

    def run(cluster, folder, *words, code=0, **environment):
        return finish(start(cluster, folder, *words, **environment), code)

    return run
