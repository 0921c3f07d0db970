"""docs/deploy.md runs as a script from top to bottom, against the stand-in for gcloud, the sandbox and the emulator."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from commands.emulator import Emulator, EmulatorError, running_emulator
from commands.processes import ROOT, Sandbox, free_port, running_sandbox
from tests.deploy.deployment import BASH, Cloud, forwarding_pubsub, pubsub_names

pytestmark = [pytest.mark.xdist_group("emulator"), pytest.mark.timeout(1200)]

TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")

NOT_RUN = {
    "docker build": "needs a Docker daemon, and a base image from the internet",
    "docker push": "needs Google's registry",
    "docker run": "needs a Docker daemon, and does not end",
}
"""Commands of the page that are skipped, and why. test_lint.py and test_container.py check the image."""

REPLACEMENTS = {
    "gcloud": "the stand-in, without rights or builds; Pub/Sub commands go to the emulator if there is one",
    "python3": "this virtual environment's Python",
    "/opt/klaviyo-sync/venv/bin/pip": "the real program, in another folder than /opt",
    "/opt/klaviyo-sync/venv/bin/python": "the same; main.py is terminated once it listens",
    "./deploy.sh": "the real program",
    "set": "the shell's builtin",
}
"""All other programs of the page, and what runs for them."""

SERVE = """
serve() {
  "$@" &
  until (: </dev/tcp/127.0.0.1/"$PORT") 2>/dev/null; do
    kill -0 $! || return 1
    sleep 0.1
  done
  kill $!
  wait $! || true
}
"""


def _lines() -> list[str]:
    """The page's commands, each on one line and without comments."""
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)).replace("\\\n", " ")
    return [command for line in blocks.splitlines() if (command := re.sub(r"\s+#.*", "", line).strip())]


def _program(line: str) -> str | None:
    """The program that a line runs, also in `NAME=$(program ...)`. None if the line only sets a variable."""
    if match := re.match(r"[A-Z_]+=(?:\$\((\S+))?", line):
        return match[1]
    return line.split(maxsplit=1)[0]


def _skipped_command(line: str) -> str | None:
    return next((command for command in NOT_RUN if f"{line} ".startswith(f"{command} ")), None)


def _script(folder: Path) -> str:
    """The page as a script that prints each command and stops at the first one that fails."""
    lines = []
    for line in _lines():
        if _skipped_command(line):
            continue
        command = line.replace("/opt/klaviyo-sync", str(folder))
        lines += [
            f"echo {shlex.quote(f'$ {line}')}",
            f"serve {command}" if command.endswith("/python main.py") else command,
        ]
    return "\n".join(["set -euo pipefail", SERVE, *lines, ""])


def test_only_commands_that_can_not_run_are_skipped() -> None:
    """Each command of the page has a replacement or a reason in NOT_RUN, and never both."""
    lines = _lines()
    assert {_skipped_command(line) for line in lines} - {None} == set(NOT_RUN)
    programs = {program for line in lines if not _skipped_command(line) and (program := _program(line))}
    assert programs == set(REPLACEMENTS)
    assert not {command.split()[0] for command in NOT_RUN} & set(REPLACEMENTS)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """The sandbox of commercetools and Klaviyo."""
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def pubsub() -> Iterator[Emulator | None]:
    """The Pub/Sub emulator, or None if there is none. Fails instead if REQUIRE_EMULATOR is set."""
    with ExitStack() as stack:
        try:
            emulator = stack.enter_context(running_emulator())
        except EmulatorError as error:
            if os.environ.get("REQUIRE_EMULATOR"):
                pytest.fail(f"REQUIRE_EMULATOR is set, but {error}")
            emulator = None
        yield emulator


def _run(tmp_path: Path, sandbox: Sandbox, **extra: str) -> tuple[Cloud, subprocess.CompletedProcess[str]]:
    """Run the page in a copy of the repository, with its two env files and every question answered with yes."""
    cloud = Cloud(tmp_path)
    repository = tmp_path / "repository"
    shutil.copytree(ROOT, repository, ignore=shutil.ignore_patterns(".git", ".venv", "*_cache", "__pycache__", ".env"))
    settings = {name: value for name, value in sandbox.environment.items() if not name.startswith("PUSH_")}
    _write_env_file(repository / ".env", settings)
    _write_env_file(repository / "admin.env", {**settings, "CT_SCOPE": "manage_subscriptions:shop"})
    cloud.add_program("python3", f'exec {shlex.quote(sys.executable)} "$@"')
    script = tmp_path / "page.sh"
    script.write_text(_script(tmp_path / "opt"), encoding="utf-8")
    yes = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    try:
        finished = subprocess.run(
            [BASH, str(script)],
            cwd=repository,
            env={**cloud.environment, "PORT": str(free_port()), **extra},
            stdin=yes.stdout,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    finally:
        yes.kill()
        yes.wait()
        if yes.stdout:
            yes.stdout.close()
    return cloud, finished


def _write_env_file(path: Path, settings: Mapping[str, str]) -> None:
    path.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items()), encoding="utf-8")


def _leftovers(resources: Iterable[str]) -> set[str]:
    """The resources that were not deleted, except those that the page says stay."""
    return {name for name in resources if name.partition("/")[0] not in ("api", "version", "artifacts-repositories")}


def test_the_page_runs_as_a_script(tmp_path: Path, sandbox: Sandbox, pubsub: Emulator | None) -> None:
    """Every block runs, in order. Each way to deploy starts from nothing, and nothing is left at its end."""
    with forwarding_pubsub(pubsub) as forwarding:
        cloud, finished = _run(tmp_path, sandbox, **forwarding)
    assert finished.returncode == 0, finished.stdout
    assert "FAILED" not in finished.stdout, "`manage.py check` reports a failure"
    assert _leftovers(cloud.resources()) == set()
    if pubsub:
        assert pubsub_names(pubsub, "topics") == set()
        # Google deletes Eventarc's subscription together with the function; the emulator does not.
        assert {name for name in pubsub_names(pubsub, "subscriptions") if "/eventarc-" not in name} == set()
    commands = {call.words for call in cloud.calls()}
    assert commands >= {
        "functions deploy klaviyo-sync",
        "run deploy klaviyo-sync-container",
        "pubsub subscriptions create klaviyo-sync-push",
    }
