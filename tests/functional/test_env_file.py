"""`manage.py` reads the settings of real accounts from `.env`; nothing else does."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands.env_file import settings_in
from commands.processes import ROOT, Sandbox
from core.settings import load_settings
from manage import COMMANDS, manage
from tests.env_files import QUOTING_STYLES

SECRET = "a-very-secret-value"
ON_REAL_ACCOUNTS = {
    "backfill",
    "prices",
    "reconcile",
    "check",
    "dead-letters",
    "preview",
    "resync",
    "status",
    "subscriptions",
}
"""Commands that read the file, also in each of their subcommands."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Run `manage.py` in a folder of its own, in an environment that says nothing of accounts."""
    monkeypatch.chdir(tmp_path)
    for name in ("ENV_FILE", "KLAVIYO_AUTH_KEY", "KLAVIYO_API_URL", *(n for n in os.environ if n.startswith("CT_"))):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(manage, arguments)


def _written(sandbox: Sandbox, file: Path, **changes: str) -> None:
    lines = [f"{name}='{value}'" for name, value in {**sandbox.environment, **changes}.items()]
    file.write_text("\n".join(lines), encoding="utf-8")


def test_settings_come_from_the_file_beside_the_reader(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path
) -> None:
    """`./.env` by itself, another one by its name; afterwards the environment is as it was."""
    _written(sandbox, tmp_path / ".env")
    assert "environment: complete (project shop" in run("check").stdout
    _written(sandbox, tmp_path / "other.env", CT_PROJECT_ID="another")
    assert "environment: complete (project another" in run("check", "--env-file", "other.env").stdout
    assert "CT_PROJECT_ID" not in os.environ


def test_the_environment_wins_over_the_file(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a value of nothing, which leaves a setting out."""
    _written(sandbox, tmp_path / ".env")
    monkeypatch.setenv("CT_PROJECT_ID", "mine")
    assert "environment: complete (project mine" in run("check").stdout
    monkeypatch.setenv("CT_PROJECT_ID", "")
    assert "CT_PROJECT_ID is not set" in run("check").stderr


@pytest.mark.parametrize("option", ["DEAD_LETTER_SUBSCRIPTION", "TOPIC"])
def test_options_take_their_values_from_the_file(run: Callable[..., Result], tmp_path: Path, option: str) -> None:
    """What an option would find in the environment it finds in the file."""
    (tmp_path / ".env").write_text(f"DEAD_LETTER_SUBSCRIPTION=projects/p/subscriptions/s\nTOPIC=t\n{option}=nonsense")
    ended = run("dead-letters", "replay", "--all")
    assert (ended.exit_code, "must have the form projects/" in ended.stderr) == (2, True)


@pytest.mark.parametrize("write", QUOTING_STYLES.values(), ids=QUOTING_STYLES)
def test_however_a_value_is_written(tmp_path: Path, write: Callable[[str], str]) -> None:
    """As it is, and in quotes of either kind: the same value, and whatever else is in the file does not matter."""
    client = '{"clientId": "a b", "secret": "c#d $HOME"}'
    file = tmp_path / ".env"
    text = f"# Mine\r\n\r\nexport CT_API_CLIENT = {write(client)} \r\nTHREADS=4 # few\r\n"
    file.write_text(text, encoding="utf-8-sig", newline="")
    assert settings_in(file) == {"CT_API_CLIENT": client, "THREADS": "4"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"A=b\n\n  KLAVIYO_AUTH_KEY: {SECRET}\nC=d", ".env, line 3: expected NAME=value"),
        (f"KLAVIYO_AUTH_KEY='{SECRET}", ".env, line 1: a quote is not closed"),
        (f"THREADS=4\n{SECRET}", ".env, line 2: expected NAME=value"),
    ],
)
def test_a_wrong_line_is_named_and_not_shown(run: Callable[..., Result], tmp_path: Path, text: str, says: str) -> None:
    """File and line, exit 1, and nothing of what stands there."""
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    ended = run("check")
    assert (ended.exit_code, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"Error: {says}")
    assert SECRET not in ended.stderr


def test_a_file_that_was_named_must_be_there(run: Callable[..., Result]) -> None:
    """Only `.env` may be missing."""
    ended = run("check", "--env-file", "nowhere.env")
    assert (ended.exit_code, ended.stderr) == (1, "Error: nowhere.env: No such file or directory\n")


def test_commands_without_accounts_read_no_file() -> None:
    """`demo`, `emulator` and `send` have no such option; those that work on accounts all have it."""
    having = set()
    for name in COMMANDS:
        command = manage.get_command(None, name)  # type: ignore[arg-type] # the context is not looked at
        leaves = getattr(command, "commands", {"": command}).values()
        own = {any(parameter.name == "env_file" for parameter in leaf.params) for leaf in leaves}
        assert len(own) == 1, f"{name}: some of its commands read the file, some do not"
        if own == {True}:
            having.add(name)
    assert having == ON_REAL_ACCOUNTS


def test_the_example_is_read_alike_by_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env.example` by this package, by deploy.sh, by a shell, and by the function to which Docker hands it all."""
    example = ROOT / ".env.example"
    required = {"CT_API_URL", "CT_AUTH_URL", "CT_PROJECT_ID", "CT_SCOPE", "CT_API_CLIENT", "KLAVIYO_AUTH_KEY"}
    assert set(settings_in(example)) == required
    filled_in = example.read_text(encoding="utf-8").replace("...", "the-real-one")
    lines = re.findall(r"^#?([A-Z_]+=.*)$", filled_in, re.MULTILINE)
    everything = tmp_path / ".env"
    everything.write_text("\n".join(lines), encoding="utf-8")
    read = settings_in(everything)
    assert len(read) > len(required)
    program = "import json, os; print(json.dumps(dict(os.environ)))"
    script = f"set -a; source {everything}; exec {sys.executable} -c '{program}'"
    shell = subprocess.run(["bash", "-c", script], env={}, capture_output=True, text=True, check=True).stdout
    assert read.items() <= json.loads(shell).items()
    command = ["bash", str(ROOT / "deploy.sh"), "--dry-run", "--region=europe-west1", "--project-id=my-project"]
    dry_run = subprocess.run(
        [*command, "--env-file", str(everything)], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    deployed = dict(re.findall(r"^([A-Z_]+): '(.*)'$", dry_run, re.MULTILINE))
    in_both = deployed.keys() & read.keys()
    assert {name: deployed[name] for name in in_both} == {name: read[name] for name in in_both}
    assert in_both >= required - {"CT_API_CLIENT", "KLAVIYO_AUTH_KEY"}
    for name, value in (line.split("=", 1) for line in lines):
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.ct_scope, settings.ct_api_client.client_id) == (read["CT_SCOPE"], "the-real-one")
    assert settings.product_url_template == "https://shop.example/p/{{productSlug}}"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A clone of `manage.py` alone, with what it looks for its interpreter with."""
    (tmp_path / "commands").mkdir()
    for name in ("manage.py", "commands/interpreter.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


def _in_a_bare_python(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-S", str(folder / "manage.py"), "check", "a b"]  # -S: no installed packages
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_manage_finds_its_environment(bare: Path) -> None:
    """Started by a Python without packages it goes on in `.venv`, with the same arguments."""
    python = bare / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s|" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    ran = _in_a_bare_python(bare)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{bare / 'manage.py'}|check|a b|", "")


def test_manage_without_an_environment(bare: Path) -> None:
    """One line that says what to run, and exit 1."""
    ran = _in_a_bare_python(bare)
    said = f"manage.py: required packages are not installed; run: make -C {bare} install\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", said)


def test_manage_in_an_incomplete_environment(bare: Path) -> None:
    """An install that was broken off is named, and not started again and again."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare / ".venv")], check=True)
    ran = subprocess.run(
        [bare / ".venv/bin/python", bare / "manage.py"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "run: make -C" in ran.stderr
