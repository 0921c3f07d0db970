"""Commands that work on real accounts read their settings from `.env`; other commands don't."""

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
"""Commands that read the file. All of their subcommands read it too."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    """Run `manage.py` in an empty folder, without account settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("ENV_FILE", "KLAVIYO_AUTH_KEY", "KLAVIYO_API_URL", *(n for n in os.environ if n.startswith("CT_"))):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments: CliRunner().invoke(manage, arguments)


def _write_settings(sandbox: Sandbox, file: Path, **changes: str) -> None:
    lines = [f"{name}='{value}'" for name, value in {**sandbox.environment, **changes}.items()]
    file.write_text("\n".join(lines), encoding="utf-8")


def test_settings_come_from_the_file(run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path) -> None:
    """`.env` in the current folder is the default, --env-file names another. The environment stays unchanged."""
    _write_settings(sandbox, tmp_path / ".env")
    assert "environment: complete (project shop" in run("check").stdout
    _write_settings(sandbox, tmp_path / "other.env", CT_PROJECT_ID="another")
    assert "environment: complete (project another" in run("check", "--env-file", "other.env").stdout
    assert "CT_PROJECT_ID" not in os.environ


def test_the_environment_overrides_the_file(
    run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable overrides the file. An empty value unsets the file's setting."""
    _write_settings(sandbox, tmp_path / ".env")
    monkeypatch.setenv("CT_PROJECT_ID", "mine")
    assert "environment: complete (project mine" in run("check").stdout
    monkeypatch.setenv("CT_PROJECT_ID", "")
    assert "CT_PROJECT_ID is not set" in run("check").stderr


@pytest.mark.parametrize("option", ["DEAD_LETTER_SUBSCRIPTION", "TOPIC"])
def test_options_take_their_values_from_the_file(run: Callable[..., Result], tmp_path: Path, option: str) -> None:
    """An option that can be set by an environment variable can be set in the file."""
    (tmp_path / ".env").write_text(f"DEAD_LETTER_SUBSCRIPTION=projects/p/subscriptions/s\nTOPIC=t\n{option}=nonsense")
    result = run("dead-letters", "replay", "--all")
    assert (result.exit_code, "must have the form projects/" in result.stderr) == (2, True)


def test_a_topic_as_deploy_sh_takes_it(run: Callable[..., Result], sandbox: Sandbox, tmp_path: Path) -> None:
    """The short name is enough with PROJECT_ID, so that both can use one file."""
    _write_settings(sandbox, tmp_path / ".env", PROJECT_ID="my-project", TOPIC="klaviyo-sync")
    assert "to projects/my-project/topics/klaviyo-sync" in run("subscriptions", "plan").output


@pytest.mark.parametrize("write", QUOTING_STYLES.values(), ids=QUOTING_STYLES)
def test_quoting_styles(tmp_path: Path, write: Callable[[str], str]) -> None:
    """A value reads the same unquoted or in quotes of either kind, whatever else is in the file."""
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
def test_a_wrong_line_is_named_but_not_shown(run: Callable[..., Result], tmp_path: Path, text: str, says: str) -> None:
    """The error names file and line, but does not quote the line. The exit code is 1."""
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    result = run("check")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {says}")
    assert SECRET not in result.stderr


def test_a_named_file_must_exist(run: Callable[..., Result]) -> None:
    """Only the default `.env` may be missing."""
    result = run("check", "--env-file", "nowhere.env")
    assert (result.exit_code, result.stderr) == (1, "Error: nowhere.env: No such file or directory\n")


def test_commands_without_accounts_read_no_file() -> None:
    """`demo`, `emulator` and `send` have no --env-file; all commands that work on accounts have it."""
    with_option = set()
    for name in COMMANDS:
        command = manage.get_command(None, name)  # type: ignore[arg-type] # the context is unused
        leaves = getattr(command, "commands", {"": command}).values()
        has_option = {any(parameter.name == "env_file" for parameter in leaf.params) for leaf in leaves}
        assert len(has_option) == 1, f"{name}: only some of its subcommands read the file"
        if has_option == {True}:
            with_option.add(name)
    assert with_option == ON_REAL_ACCOUNTS


def test_every_reader_reads_the_example_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This package, deploy.sh, a shell, and a function that Docker gives the file read `.env.example` alike."""
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
def bare_clone(tmp_path: Path) -> Path:
    """A folder with nothing but `manage.py` and the module that finds its interpreter."""
    (tmp_path / "commands").mkdir()
    for name in ("manage.py", "commands/interpreter.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


def _run_without_packages(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-S", str(folder / "manage.py"), "check", "a b"]  # -S: no installed packages
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_manage_finds_its_environment(bare_clone: Path) -> None:
    """Started by a Python without packages, it restarts itself in `.venv` with the same arguments."""
    python = bare_clone / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s|" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    ran = _run_without_packages(bare_clone)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{bare_clone / 'manage.py'}|check|a b|", "")


def test_manage_without_an_environment(bare_clone: Path) -> None:
    """Without an environment, it prints one line that says what to run, and exits with 1."""
    ran = _run_without_packages(bare_clone)
    message = f"manage.py: required packages are not installed; run: make -C {bare_clone} install\n"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", message)


def test_manage_in_an_incomplete_environment(bare_clone: Path) -> None:
    """It reports an interrupted install instead of restarting itself forever."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare_clone / ".venv")], check=True)
    ran = subprocess.run(
        [bare_clone / ".venv/bin/python", bare_clone / "manage.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "run: make -C" in ran.stderr
