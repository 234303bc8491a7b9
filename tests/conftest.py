"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Scripts find the commands of the environment whose Python runs the tests, activated or not.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

# How fast a test runs says how busy the machine is, not whether the code is right.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True)


def pytest_configure(config: pytest.Config) -> None:
    """The same examples in every run: whether a commit passes depends on the commit. ``--hypothesis-seed=random`` (or a
    number) looks for others; what it finds becomes a test of its own."""
    settings.load_profile("same" if config.getoption("hypothesis_seed", None) is None else "search")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # of a shell that runs the tests in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what they start is to end at Ctrl-C


@pytest.fixture
def unused_port() -> int:
    """A loopback port that is free at the moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="session")
def tar_archives() -> None:
    """A Python that can unpack tar archives safely."""
    if not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python cannot unpack tar archives safely: install 3.10.12, 3.11.4 or newer")
