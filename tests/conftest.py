"""What all tests share: one thread each, nothing of the user's is touched, and a browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # for the commands that tests start

import torch
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

_QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--enable-unsafe-swiftshader",  # WebGL in software, for parallel coordinates
)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of this test run's own, for commands that tests start too."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("PAREDOWN_CACHE")
    os.environ["PAREDOWN_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["PAREDOWN_CACHE"]
    else:
        os.environ["PAREDOWN_CACHE"] = before


class Browser:
    """A headless Chromium and what tests ask of it.

    Args:
        driver: of selenium, for all that is not here.
    """

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, where: str | Path, width: int = 1280, height: int = 900) -> None:
        """Show a page, or a file, in a window of so many CSS pixels."""
        self._log()  # which forgets what earlier pages complained about
        self.resize(width, height)
        self.driver.get(where.absolute().as_uri() if isinstance(where, Path) else where)

    def resize(self, width: int, height: int = 900) -> None:
        """Give the window so many CSS pixels; windows themselves are never narrower than 500."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def run(self, script: str, *arguments: object) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def errors(self) -> list[str]:
        """What the console has complained about since it was asked last."""
        return [data["message"] for data in self._log() if data["level"] == "SEVERE"]

    def _log(self) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return parts


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Debian's Chromium without a screen; the test is skipped where it is missing."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no Chromium here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_QUIET, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options, Service(driver))
    try:
        yield Browser(started)
    finally:
        started.quit()
