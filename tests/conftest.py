"""Fixtures shared by all tests."""

from __future__ import annotations

import socket

import pytest
from hypothesis import HealthCheck, settings

# How fast a test runs says how busy the machine is, not whether the code is right.
settings.register_profile("asit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("asit")


@pytest.fixture
def unused_port() -> int:
    """A loopback port that is free at the moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
