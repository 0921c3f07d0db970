"""The version stands in one place, and the changelog knows it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from core.version import USER_AGENT, VERSION

ROOT = Path(__file__).parents[2]
_RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", re.MULTILINE)


def test_the_command_says_the_version() -> None:
    """`manage.py --version`, as a report of a problem should quote it."""
    arguments = [sys.executable, "manage.py", "--version"]
    ran = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == f"commercetools-klaviyo-sync {VERSION}\n"


def test_the_changelog_has_the_version() -> None:
    """The newest release, or the next one while it is being made: newer than every release, with its changes on top."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = [tuple(map(int, release.split("."))) for release in _RELEASE.findall(text)]
    assert releases
    assert releases == sorted(releases, reverse=True)
    number, dev, _ = VERSION.partition(".dev")
    version = tuple(map(int, number.split(".")))
    if dev:
        assert version > releases[0]
        assert "## [Unreleased]\n" in text
    else:
        assert version == releases[0]


def test_the_version_is_written_once() -> None:
    """The project's metadata take it from there; the user agent has it in RFC 9110's form, `product/version`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project
    assert project["dynamic"] == ["version"]
    assert re.fullmatch(r"commercetools-klaviyo-sync/[\w.]+", USER_AGENT)
