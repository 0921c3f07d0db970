"""docs/deploy.md, read from top to bottom, runs as a script: against the stand-in for gcloud, sandbox and emulator."""

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
from tests.deploy.deployment import BASH, Cloud, pubsub_names, pubsub_of

pytestmark = [pytest.mark.xdist_group("emulator"), pytest.mark.timeout(1200)]

TEXT = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")

CAN_NOT_RUN = {
    "docker build": "needs a Docker daemon, and a base image from the internet",
    "docker push": "needs a registry of Google's",
    "docker run": "needs a Docker daemon, and serves for good",
}
"""Commands of the page that are left out. test_lint.py and test_container.py check what the image holds."""

PLAYED = {
    "gcloud": "the stand-in, which knows neither rights nor builds; its Pub/Sub is the emulator's where there is one",
    "python3": "this environment's",
    "/opt/klaviyo-sync/venv/bin/pip": "for good, in another folder than /opt",
    "/opt/klaviyo-sync/venv/bin/python": "likewise; main.py is ended when it listens",
    "./deploy.sh": "for good",
    "set": "for good: it is the shell's own",
}
"""Every other program of the page, and what runs in its place."""

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
    """The page's commands, each on one line and without its comment."""
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)).replace("\\\n", " ")
    return [stripped for line in blocks.splitlines() if (stripped := re.sub(r"\s+#.*", "", line).strip())]


def _program(line: str) -> str | None:
    """The program that a line runs, also in `NAME=$(program ...)`; None when it only sets a variable."""
    if match := re.match(r"[A-Z_]+=(?:\$\((\S+))?", line):
        return match[1]
    return line.split(maxsplit=1)[0]


def _left_out(line: str) -> str | None:
    return next((command for command in CAN_NOT_RUN if f"{line} ".startswith(f"{command} ")), None)


def _script(folder: Path) -> str:
    """The page as a script that ends with the first command that fails, and says which it is."""
    lines = []
    for line in _lines():
        if _left_out(line):
            continue
        here = line.replace("/opt/klaviyo-sync", str(folder))
        lines += [f"echo {shlex.quote(f'$ {line}')}", f"serve {here}" if here.endswith("/python main.py") else here]
    return "\n".join(["set -euo pipefail", SERVE, *lines, ""])


def test_only_what_can_not_run_is_left_out() -> None:
    """Each command of the list is in the page, and none is of a program that has something to run in its place."""
    lines = _lines()
    assert {_left_out(line) for line in lines} - {None} == set(CAN_NOT_RUN)
    run = {program for line in lines if not _left_out(line) and (program := _program(line))}
    assert run == set(PLAYED)
    assert not {command.split()[0] for command in CAN_NOT_RUN} & set(PLAYED)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Commercetools and Klaviyo."""
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def pubsub() -> Iterator[Emulator | None]:
    """The emulator; None where there is none, unless REQUIRE_EMULATOR is set."""
    with ExitStack() as stack:
        try:
            emulator = stack.enter_context(running_emulator())
        except EmulatorError as error:
            if os.environ.get("REQUIRE_EMULATOR"):
                pytest.fail(f"REQUIRE_EMULATOR is set, but {error}")
            emulator = None
        yield emulator


def _run(tmp_path: Path, sandbox: Sandbox, **extra: str) -> tuple[Cloud, subprocess.CompletedProcess[str]]:
    """Run the page in a copy of the repository, where `.env` has the settings; every question is answered with yes."""
    cloud = Cloud(tmp_path)
    repository = tmp_path / "repository"
    shutil.copytree(ROOT, repository, ignore=shutil.ignore_patterns(".git", ".venv", "*_cache", "__pycache__", ".env"))
    settings = {name: value for name, value in sandbox.environment.items() if not name.startswith("PUSH_")}
    _write_env_file(repository / ".env", settings)
    cloud.program("python3", f'exec {shlex.quote(sys.executable)} "$@"')
    script = tmp_path / "page.sh"
    script.write_text(_script(tmp_path / "opt"), encoding="utf-8")
    yes = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    try:
        done = subprocess.run(
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
    return cloud, done


def _write_env_file(path: Path, settings: Mapping[str, str]) -> None:
    path.write_text("".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items()), encoding="utf-8")


def _left(resources: Iterable[str]) -> set[str]:
    """What was not taken away, but for what the page says stays."""
    return {name for name in resources if name.partition("/")[0] not in ("api", "version", "artifacts-repositories")}


def test_the_page_runs_as_a_script(tmp_path: Path, sandbox: Sandbox, pubsub: Emulator | None) -> None:
    """Every block in order, each way of deployment from nothing; what is taken away at its end is gone."""
    with pubsub_of(pubsub) as forwarding:
        cloud, done = _run(tmp_path, sandbox, **forwarding)
    assert done.returncode == 0, done.stdout
    assert "FAILED" not in done.stdout, "`manage.py check` finds all there"
    assert _left(cloud.resources()) == set()
    if pubsub:
        assert pubsub_names(pubsub, "topics") == set()
        # Eventarc's own goes with the function, of which the emulator knows nothing.
        assert {name for name in pubsub_names(pubsub, "subscriptions") if "/eventarc-" not in name} == set()
    made = {call.words for call in cloud.calls()}
    assert made >= {
        "functions deploy klaviyo-sync",
        "run deploy klaviyo-sync-container",
        "pubsub subscriptions create klaviyo-sync-push",
    }
