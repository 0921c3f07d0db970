"""A headless Chromium for the page's tests and screenshots. Needs Debian's chromium and chromium-driver."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

PROGRAMS = ("chromium", "chromedriver")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip


def missing_programs() -> list[str]:
    """The programs that are not installed."""
    return [program for program in PROGRAMS if not shutil.which(program)]


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """A browser with its own profile folder, which logs its console and every request."""
    browser, driver = (shutil.which(program) for program in PROGRAMS)
    options = ChromeOptions()
    options.binary_location = browser or ""
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options, ChromeService(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


def resize(chrome: Chrome, width: int, height: int) -> None:
    """Set the screen size. Emulated, so it may be narrower than any window."""
    chrome.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )


def set_colour_scheme(chrome: Chrome, scheme: str) -> None:
    """Set the preferred colour scheme, `light` or `dark`."""
    chrome.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )


def requested_urls(chrome: Chrome) -> list[str]:
    """URLs requested since the last call."""
    entries = (json.loads(entry["message"])["message"] for entry in log_entries(chrome, "performance"))
    return [entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"]


def log_entries(chrome: Chrome, kind: str) -> list[dict[str, Any]]:
    """Log entries since the last call. Kind `browser` is the console, `performance` the DevTools protocol's events."""
    entries: list[dict[str, Any]] = chrome.get_log(kind)  # type: ignore[no-untyped-call]
    return entries
