"""Run deploy.sh with the stand-in for gcloud, and inspect what it did."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import requests

from commands.emulator import Emulator
from commands.processes import ROOT

BASH = shutil.which("bash") or "/bin/bash"
SCRIPT = ROOT / "deploy.sh"
STAND_IN = Path(__file__).with_name("gcloud_stand_in.py")

API_CLIENT = '{"clientId": "the-client", "secret": "s3cr3t-of-commercetools"}'
AUTH_KEY = "pk_s3cr3t-of-klaviyo"
SECRET_PARTS = ("s3cr3t-of-commercetools", "s3cr3t-of-klaviyo")

PROJECT_AND_REGION = {"PROJECT_ID": "my-project", "REGION": "europe-west1"}
SETTINGS = {
    **PROJECT_AND_REGION,
    "CT_API_URL": "https://api.europe-west1.gcp.commercetools.com",
    "CT_AUTH_URL": "https://auth.europe-west1.gcp.commercetools.com",
    "CT_PROJECT_ID": "shop",
    "CT_SCOPE": "view_customers:shop view_orders:shop view_payments:shop view_products:shop"
    " view_published_products:shop",
    "CT_API_CLIENT": API_CLIENT,
    "KLAVIYO_AUTH_KEY": AUTH_KEY,
}

ACCOUNTS = {name: f"klaviyo-sync-{name}@my-project.iam.gserviceaccount.com" for name in ("runtime", "trigger", "build")}
PUBSUB_AGENT = "service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"

EVENTARC_SUBSCRIPTION = "projects/my-project/subscriptions/eventarc-europe-west1-klaviyo-sync-123456-sub-001"

RESOURCES = {
    "pubsub-topics/klaviyo-sync",
    "pubsub-topics/klaviyo-sync-dead-letters",
    "pubsub-subscriptions/klaviyo-sync-dead-letters",
    "iam-service-accounts/klaviyo-sync-runtime",
    "iam-service-accounts/klaviyo-sync-trigger",
    "iam-service-accounts/klaviyo-sync-build",
    "secrets/klaviyo-sync-ct-api-client",
    "secrets/klaviyo-sync-klaviyo-auth-key",
    "functions/klaviyo-sync",
}
"""The resources that a first run creates."""

_NOT_CREATED = ("api", "version", "push-subscriptions")
"""Enabled APIs, versions of secrets, and the stand-in's own list of subscriptions that push."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of gcloud. `stdin` is the SHA-256 of its input, `env_vars` the text of its `--env-vars-file`."""

    arguments: Sequence[str]
    stdin: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    env_vars: str = ""
    env_vars_mode: str = ""

    @property
    def words(self) -> str:
        """The arguments without the flags."""
        return " ".join(word for word in self.arguments if not word.startswith("--"))

    @property
    def flags(self) -> dict[str, str]:
        """The flags and their values."""
        return dict(word[2:].partition("=")[::2] for word in self.arguments if word.startswith("--"))


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: exit status, output, and its calls of gcloud."""

    status: int
    out: str
    err: str
    calls: Sequence[Call]

    @property
    def commands(self) -> list[str]:
        """The calls without their flags, in order."""
        return [call.words for call in self.calls]

    def only_call(self, words: str) -> Call:
        """The call that begins with these words. Raises ValueError unless there is exactly one."""
        (call,) = (call for call in self.calls if call.words.startswith(words))
        return call


@dataclass(slots=True)
class Cloud:
    """A Google Cloud project played by the stand-in, with a home and a temporary folder for the runs."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("bin", "state", "home", "temporary", "work"):
            (self.folder / name).mkdir()
        self.add_program("gcloud", f'exec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(STAND_IN))} "$@"')
        # deploy.sh sleeps before it retries a grant; the tests do not wait.
        self.add_program("sleep", 'echo "$1" >>"$GCLOUD_STAND_IN/slept"')

    def add_program(self, name: str, script: str) -> None:
        """Put a shell script first on the PATH."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    @property
    def work(self) -> Path:
        """The working directory of the runs."""
        return self.folder / "work"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that make a script use this project."""
        return {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "temporary"),
            "GCLOUD_STAND_IN": str(self.folder / "state"),
        }

    def run(self, *arguments: str, settings: Mapping[str, str] = SETTINGS, answer: str = "", **extra: str) -> Run:
        """Run deploy.sh with only these settings in its environment. `answer` is its stdin."""
        return self._bash(SCRIPT, *arguments, answer=answer, environment={**settings, **extra})

    def run_printed(self, script: Path) -> Run:
        """Run a script that a dry run printed, with the secrets in its environment."""
        return self._bash(script, environment={"CT_API_CLIENT": API_CLIENT, "KLAVIYO_AUTH_KEY": AUTH_KEY})

    def _bash(self, script: Path, *arguments: str, environment: Mapping[str, str], answer: str = "") -> Run:
        before = len(self.calls())
        finished = subprocess.run(
            [BASH, str(script), *arguments],
            cwd=self.work,
            env={**self.environment, **environment},
            input=answer,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Run(finished.returncode, finished.stdout, finished.stderr, self.calls()[before:])

    def calls(self) -> list[Call]:
        """All calls of gcloud so far."""
        record = self.folder / "state" / "calls.jsonl"
        if not record.exists():
            return []
        return [Call(**json.loads(line)) for line in record.read_text(encoding="utf-8").splitlines()]

    def fail(self, command: str, error: str, times: int = 1) -> None:
        """Let gcloud fail with this error the next `times` that a call contains `command`."""
        rule = {"command": command, "error": error, "times": times}
        (self.folder / "state" / "failure.json").write_text(json.dumps(rule), encoding="utf-8")

    def resources(self) -> set[str]:
        """The resources that exist, as `kind/name`."""
        folder = self.folder / "state" / "resources"
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    def created(self) -> set[str]:
        """The resources that exist, except those of the kinds in `_NOT_CREATED`."""
        return {name for name in self.resources() if name.partition("/")[0] not in _NOT_CREATED}

    def leftover_files(self) -> dict[str, str]:
        """The files that runs left in their home, temporary and working directories: name and text."""
        folders = (self.folder / name for name in ("home", "temporary", "work"))
        files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        return {path.name: path.read_text(encoding="utf-8", errors="replace") for path in files}


def granted_rights(run: Run) -> set[tuple[str, str, str]]:
    """The rights that a run granted: resource, account and role. A call without a role grants `roles/run.invoker`."""
    return {
        (
            re.sub(
                r"(topics|subscriptions|projects|secrets|buckets|functions|services) add-(iam|invoker)-policy-binding",
                r"\1",
                call.words,
            ),
            call.flags["member"].removeprefix("serviceAccount:"),
            call.flags.get("role", "roles/run.invoker"),
        )
        for call in run.calls
        if "policy-binding" in call.words
    }


def visible_text(run: Run) -> str:
    """Everything that others could read of a run: its commands, their environments and its output."""
    calls = [" ".join([*call.arguments, *call.environment.values(), call.env_vars]) for call in run.calls]
    return "\n".join([*calls, run.out, run.err])


def printed_commands(run: Run) -> list[list[str]]:
    """The arguments of each gcloud command that a dry run printed, with variables replaced by what lookups return."""
    values = {
        "$TRIGGER": "projects/my-project/locations/europe-west1/triggers/klaviyo-sync-123456",
        "$SUBSCRIPTION": EVENTARC_SUBSCRIPTION,
        "$PROJECT_NUMBER": "123456789012",
        "$URL": "https://klaviyo-sync-container-123456-europe-west1.a.run.app",
    }
    commands = []
    for line in run.out.splitlines():
        match = re.search(r"(?:^|\$\(|\| )gcloud (.*?)\)?$", line)
        if not match or line.startswith("#"):
            continue
        text = match[1] + (")" if line.count("(") != match[1].count(")") and "=$(" not in line else "")
        for name, value in values.items():
            text = text.replace(name, value)
        commands.append(shlex.split(text))
    return commands


def real_gcloud() -> str:
    """The path of gcloud. If it is not installed, skips the test, or fails it if REQUIRE_GCLOUD is set."""
    path = shutil.which("gcloud")
    if path:
        return path
    if os.environ.get("REQUIRE_GCLOUD"):
        pytest.fail("REQUIRE_GCLOUD is set, but gcloud is not installed")
    pytest.skip("gcloud is not installed; with REQUIRE_GCLOUD set this would fail")


@contextmanager
def gcloud_environment(**extra: str) -> Iterator[dict[str, str]]:
    """Environment variables under which gcloud has no login, never prompts and leaves no files behind."""
    with TemporaryDirectory() as configuration:
        yield {
            **os.environ,
            "CLOUDSDK_CONFIG": configuration,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            **extra,
        }


@contextmanager
def forwarding_pubsub(emulator: Emulator | None) -> Iterator[dict[str, str]]:
    """Environment variables that make the stand-in forward Pub/Sub commands to the real gcloud and the emulator.

    Empty without an emulator.
    """
    if not emulator:
        yield {}
        return
    with gcloud_environment() as environment:
        yield {
            **{name: value for name, value in environment.items() if name.startswith("CLOUDSDK_")},
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"http://{emulator.host}/",
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "GCLOUD_FORWARD_PUBSUB": real_gcloud(),
        }


def pubsub_names(emulator: Emulator, kind: str) -> set[str]:
    """The full names of the emulator's topics or subscriptions. `kind` is "topics" or "subscriptions"."""
    answer = requests.get(f"http://{emulator.host}/v1/projects/my-project/{kind}", timeout=30).json()
    return {entry["name"] for entry in answer.get(kind, [])}


def lint_problems(commands: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """The commands that gcloud's own linter rejects, and why."""
    file = folder / "commands.json"
    file.write_text(
        json.dumps([{"id": str(number), "command_string": command} for number, command in enumerate(commands)]),
        encoding="utf-8",
    )
    with gcloud_environment() as environment:
        finished = subprocess.run(
            [real_gcloud(), "meta", "lint-gcloud-commands", f"--commands-file={file}"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    answers: list[dict[str, Any]] = json.loads(finished.stdout)
    assert len(answers) == len(commands)
    return [
        {name: answer[name] for name in ("command_string", "error_type", "error_message")}
        for answer in answers
        if not answer["success"]
    ]
