"""The version is defined in one place, and the changelog has it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from core.version import USER_AGENT, VERSION

ROOT = Path(__file__).parents[2]
_RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", re.MULTILINE)


def test_the_command_prints_the_version() -> None:
    """`manage.py --version` prints it, so that bug reports can quote it."""
    arguments = [sys.executable, "manage.py", "--version"]
    ran = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == f"commercetools-klaviyo-sync {VERSION}\n"


def test_the_changelog_has_the_version() -> None:
    """It is the newest release. A development version is newer than every release, and has an Unreleased section."""
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


def test_the_version_is_defined_once() -> None:
    """The project's metadata read it. The user agent has it as `product/version`, as in RFC 9110."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "version" not in project
    assert project["dynamic"] == ["version"]
    assert re.fullmatch(r"commercetools-klaviyo-sync/[\w.]+", USER_AGENT)
