"""Running deploy.sh with the stand-in for gcloud, and reading what it did."""

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
HIDDEN = ("s3cr3t-of-commercetools", "s3cr3t-of-klaviyo")

WHERE = {"PROJECT_ID": "my-project", "REGION": "europe-west1"}
SETTINGS = {
    **WHERE,
    "CT_API_URL": "https://api.europe-west1.gcp.commercetools.com",
    "CT_AUTH_URL": "https://auth.europe-west1.gcp.commercetools.com",
    "CT_PROJECT_ID": "shop",
    "CT_SCOPE": "view_customers:shop view_orders:shop view_payments:shop view_products:shop"
    " view_published_products:shop",
    "CT_API_CLIENT": API_CLIENT,
    "KLAVIYO_AUTH_KEY": AUTH_KEY,
}

ACCOUNTS = {name: f"klaviyo-sync-{name}@my-project.iam.gserviceaccount.com" for name in ("runtime", "trigger", "build")}
AGENT = "service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"

EVENTARC = "projects/my-project/subscriptions/eventarc-europe-west1-klaviyo-sync-123456-sub-001"


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
"""What a first run makes."""


@dataclass(frozen=True, slots=True)
class Call:
    """One command that gcloud was given."""

    arguments: Sequence[str]
    stdin: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    env_vars: str = ""
    env_vars_mode: str = ""

    @property
    def words(self) -> str:
        """The command without its flags."""
        return " ".join(word for word in self.arguments if not word.startswith("--"))

    @property
    def flags(self) -> dict[str, str]:
        """Its flags with their values."""
        return dict(word[2:].partition("=")[::2] for word in self.arguments if word.startswith("--"))


@dataclass(frozen=True, slots=True)
class Run:
    """How deploy.sh ended, what it said, and the commands that it gave."""

    status: int
    out: str
    err: str
    calls: Sequence[Call]

    @property
    def commands(self) -> list[str]:
        """The commands without flags, in order."""
        return [call.words for call in self.calls]

    def one(self, words: str) -> Call:
        """The only command that begins with these words."""
        (call,) = (call for call in self.calls if call.words.startswith(words))
        return call


@dataclass(slots=True)
class Cloud:
    """A Google Cloud project that the stand-in plays, a home and a place for temporary files."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("bin", "state", "home", "temporary", "work"):
            (self.folder / name).mkdir()
        self.program("gcloud", f'exec {shlex.quote(sys.executable)} -I -S {shlex.quote(str(STAND_IN))} "$@"')
        # A new service account is waited for; not here.
        self.program("sleep", 'echo "$1" >>"$GCLOUD_STAND_IN/slept"')

    def program(self, name: str, script: str) -> None:
        """Put a program in front of the PATH."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    @property
    def work(self) -> Path:
        """The current folder of the runs."""
        return self.folder / "work"

    @property
    def environment(self) -> dict[str, str]:
        """What leads a script here."""
        return {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "temporary"),
            "GCLOUD_STAND_IN": str(self.folder / "state"),
        }

    def run(self, *arguments: str, settings: Mapping[str, str] = SETTINGS, answer: str = "", **extra: str) -> Run:
        """Run deploy.sh with only these settings in its environment."""
        return self._bash(SCRIPT, *arguments, answer=answer, environment={**settings, **extra})

    def paste(self, script: Path) -> Run:
        """Run what a dry run printed, with the secrets where it looks for them."""
        return self._bash(script, environment={"CT_API_CLIENT": API_CLIENT, "KLAVIYO_AUTH_KEY": AUTH_KEY})

    def _bash(self, script: Path, *arguments: str, environment: Mapping[str, str], answer: str = "") -> Run:
        before = len(self.calls())
        done = subprocess.run(
            [BASH, str(script), *arguments],
            cwd=self.work,
            env={**self.environment, **environment},
            input=answer,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Run(done.returncode, done.stdout, done.stderr, self.calls()[before:])

    def calls(self) -> list[Call]:
        """Everything that gcloud was asked so far."""
        record = self.folder / "state" / "calls.jsonl"
        if not record.exists():
            return []
        return [Call(**json.loads(line)) for line in record.read_text(encoding="utf-8").splitlines()]

    def refuse(self, command: str, says: str, times: int = 1) -> None:
        """Have gcloud fail at commands with this part."""
        rule = {"command": command, "says": says, "times": times}
        (self.folder / "state" / "refuse.json").write_text(json.dumps(rule), encoding="utf-8")

    def resources(self) -> set[str]:
        """What is there, as `kind/name`."""
        there = self.folder / "state" / "there"
        return {str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()}

    def left_behind(self) -> dict[str, str]:
        """Every file that a run left where it could, with its text."""
        folders = (self.folder / name for name in ("home", "temporary", "work"))
        files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        return {path.name: path.read_text(encoding="utf-8", errors="replace") for path in files}


def rights(run: Run) -> set[tuple[str, str, str]]:
    """What was granted: on what, to whom, and which role."""
    return {
        (
            re.sub(
                r"(topics|subscriptions|projects|secrets|functions|services) add-(iam|invoker)-policy-binding",
                r"\1",
                call.words,
            ),
            call.flags["member"].removeprefix("serviceAccount:"),
            call.flags.get("role", "roles/run.invoker"),
        )
        for call in run.calls
        if "policy-binding" in call.words
    }


def shown(run: Run) -> str:
    """All that can be read of a run: commands, environments of commands, output."""
    calls = [" ".join([*call.arguments, *call.environment.values(), call.env_vars]) for call in run.calls]
    return "\n".join([*calls, run.out, run.err])


def printed(run: Run) -> list[list[str]]:
    """The gcloud commands that a dry run printed, as lists of arguments; what they take from a lookup is filled in."""
    values = {
        "$TRIGGER": "projects/my-project/locations/europe-west1/triggers/klaviyo-sync-123456",
        "$SUBSCRIPTION": EVENTARC,
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
    """The path of gcloud. Skips the test where there is none, or fails it with REQUIRE_GCLOUD set."""
    path = shutil.which("gcloud")
    if path:
        return path
    if os.environ.get("REQUIRE_GCLOUD"):
        pytest.fail("REQUIRE_GCLOUD is set, but gcloud is not installed")
    pytest.skip("gcloud is not installed; with REQUIRE_GCLOUD set this would fail")


@contextmanager
def gcloud_environment(**extra: str) -> Iterator[dict[str, str]]:
    """An environment in which gcloud has no login, asks nothing and leaves nothing behind."""
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
def pubsub_of(emulator: Emulator | None) -> Iterator[dict[str, str]]:
    """An environment in which the stand-in has the real gcloud run its Pub/Sub commands against an emulator, if any."""
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
    """The full names of the emulator's "topics" or "subscriptions"."""
    answer = requests.get(f"http://{emulator.host}/v1/projects/my-project/{kind}", timeout=30).json()
    return {entry["name"] for entry in answer.get(kind, [])}


def lint(commands: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """What gcloud's own linter has to say against the commands."""
    file = folder / "commands.json"
    file.write_text(
        json.dumps([{"id": str(number), "command_string": command} for number, command in enumerate(commands)]),
        encoding="utf-8",
    )
    with gcloud_environment() as environment:
        done = subprocess.run(
            [real_gcloud(), "meta", "lint-gcloud-commands", f"--commands-file={file}"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(answers) == len(commands)
    return [
        {name: answer[name] for name in ("command_string", "error_type", "error_message")}
        for answer in answers
        if not answer["success"]
    ]
