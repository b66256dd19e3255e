"""A real browser for the tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


# Of a module, not of the session: while it is open, an event loop of its own runs in this thread.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Headless Chromium by Playwright; the test is skipped where either is absent."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is absent: install the extra `browser`"
    )
    found = next((path for name in _CHROMIUM if (path := shutil.which(name))), None)
    with playwright.sync_playwright() as driver:
        executable = found or driver.chromium.executable_path
        if not Path(executable).exists():
            pytest.skip("no Chromium on this machine: `playwright install chromium`, or the system's package")
        browser = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()
