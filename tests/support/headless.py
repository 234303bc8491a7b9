"""A headless Chromium of this machine, driven by playwright; tests skip where one of them is missing."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def browser(*arguments: str) -> Iterator[Any]:
    """A playwright browser, with further arguments of Chromium."""
    api = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[browser]'")
    path = next((found for found in map(shutil.which, NAMES) if found), None)
    if path is None:
        pytest.skip("there is no Chromium: install Debian's chromium")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *arguments])
        try:
            yield chromium
        finally:
            chromium.close()
