"""A file of settings means the same to `manage.py` and to `deploy.sh`, whatever it looks like."""

import re
from pathlib import Path

import pytest
from click import ClickException

from commands.env_file import settings_in
from tests.deploy.deployment import Cloud

LINES = {
    "X": "X",
    "": "",
    "  a b  ": "a b",
    "a # said": "a",
    "a#b": "a#b",
    "#a": "#a",
    " # said": "",
    "a # b # c": "a",
    r"a\nb\\c\"d": r"a\nb\\c\"d",
    "it's": "it's",
    'say "a"': 'say "a"',
    "''": "",
    "'a b'": "a b",
    " 'a' ": "a",
    "'a' # it's said": "a",
    r"'a\nb\\c\"d'": r"a\nb\\c\"d",
    """'{"a": "b"}'""": '{"a": "b"}',
    '""': "",
    '"a # b" # said': "a # b",
    '"a" # "said"': "a",
    r'"a\nb\\c\"d"': r"a\nb\c" + '"d',
    r'"\\\"\\n"': r"\"\n",
    r'"{\"a\": \"b\\\"c\"}" # said': r'{"a": "b\"c"}',
    '"{"a": "b # c"}"': '{"a": "b # c"}',
    '"{"a": "b"}" # said': '{"a": "b"}',
    r'"{"a": "b\"c\\d"}"': r'{"a": "b\"c\\d"}',
    r'"C:\a\"': "C:\\a\\",
    '"$HOME `id` $(id)"': "$HOME `id` $(id)",
}
"""What stands behind `NAME=`, and the value."""

WRONG = ["'a", "'a'b", "'a' 'b'", '"', '"a', '"a"b', """'a'b"c'"""]
"""What no reader guesses at."""


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    """A project with nothing in it."""
    return Cloud(tmp_path)


def _by_deploy_sh(cloud: Cloud, file: Path) -> str:
    """What the function would be given; empty for nothing. A dry run shows it as YAML."""
    run = cloud.run("--env-file", str(file), "--dry-run")
    assert run.status == 0, run.err
    shown = re.search(r"^PRODUCT_URL_TEMPLATE: '(.*)'$", run.out, re.MULTILINE)
    return shown[1].replace("''", "'") if shown else ""


@pytest.mark.parametrize(("written", "value"), LINES.items(), ids=LINES)
@pytest.mark.parametrize("end", ["", "\r\n"], ids=["Unix", "Windows"])
def test_a_line_means_the_same_to_both(cloud: Cloud, written: str, value: str, end: str) -> None:
    """One dialect: as it is, in single quotes, in double quotes, with a comment behind."""
    file = cloud.work / ".env"
    file.write_bytes(f"PRODUCT_URL_TEMPLATE={written}{end}".encode())
    assert settings_in(file) == {"PRODUCT_URL_TEMPLATE": value}
    assert _by_deploy_sh(cloud, file) == value


@pytest.mark.parametrize("written", WRONG)
def test_a_line_that_is_wrong_is_wrong_for_both(cloud: Cloud, written: str) -> None:
    """Neither takes part of it for the value."""
    file = cloud.work / ".env"
    file.write_text(f"PRODUCT_URL_TEMPLATE={written}", encoding="utf-8")
    with pytest.raises(ClickException, match="line 1: a quote is not closed"):
        settings_in(file)
    run = cloud.run("--env-file", str(file), "--dry-run")
    assert (run.status, "line 1 of" in run.err, "a quote is not closed" in run.err) == (2, True, True)
