"""`manage.py` and `deploy.sh` read an env file alike, however its values are written."""

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
"""The text after `NAME=`, and the value that it means."""

WRONG = ["'a", "'a'b", "'a' 'b'", '"', '"a', '"a"b', """'a'b"c'"""]
"""Texts after `NAME=` that both readers must refuse."""


def _value_in_deploy_sh(cloud: Cloud, file: Path) -> str:
    """The value that the function would get, from the YAML that a dry run prints. Empty if it gets none."""
    run = cloud.run("--env-file", str(file), "--dry-run")
    assert run.status == 0, run.err
    line = re.search(r"^PRODUCT_URL_TEMPLATE: '(.*)'$", run.out, re.MULTILINE)
    return line[1].replace("''", "'") if line else ""


@pytest.mark.parametrize(("written", "value"), LINES.items(), ids=LINES)
@pytest.mark.parametrize("end", ["", "\r\n"], ids=["Unix", "Windows"])
def test_both_read_a_line_alike(cloud: Cloud, written: str, value: str, end: str) -> None:
    """The value may have no quotes, single or double ones, a comment after it, and either line ending."""
    file = cloud.work / ".env"
    file.write_bytes(f"PRODUCT_URL_TEMPLATE={written}{end}".encode())
    assert settings_in(file) == {"PRODUCT_URL_TEMPLATE": value}
    assert _value_in_deploy_sh(cloud, file) == value


@pytest.mark.parametrize("written", WRONG)
def test_both_refuse_a_wrong_line(cloud: Cloud, written: str) -> None:
    """Neither uses a part of the line as the value."""
    file = cloud.work / ".env"
    file.write_text(f"PRODUCT_URL_TEMPLATE={written}", encoding="utf-8")
    with pytest.raises(ClickException, match="line 1: a quote is not closed"):
        settings_in(file)
    run = cloud.run("--env-file", str(file), "--dry-run")
    assert (run.status, "line 1 of" in run.err, "a quote is not closed" in run.err) == (2, True, True)
