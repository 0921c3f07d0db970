"""The upload with requirements.txt in an empty environment: as Google builds it, and as the container runs it."""

import base64
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from commands.processes import Sandbox, free_port, running_sandbox
from sandbox.samples import DOCUMENTS, ENVIRONMENT, samples
from tests.deploy.upload import copy_upload

pytestmark = [pytest.mark.xdist_group("container"), pytest.mark.timeout(600)]

NOBODY = 65534
PATIENCE = 60.0
SAMPLE = next(sample for sample in samples() if sample.name == "category-created-women")
PUSH = {
    "message": {"data": base64.b64encode(SAMPLE.data).decode(), "messageId": "1", "attributes": {}},
    "subscription": "projects/p/subscriptions/s",
}
CLOUD_EVENT = {
    "ce-id": "1",
    "ce-source": "//pubsub.googleapis.com/projects/p/topics/t",
    "ce-specversion": "1.0",
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
}
INSTALL = ["install", "--quiet", "--upgrade", "--force-reinstall", "--requirement"]
"""As the buildpack calls pip (pkg/python/python.go), but for `--user`: an environment of its own has no use for it."""

WRITES = """
import os, sys
for folder in sys.argv[1:]:
    try:
        open(os.path.join(folder, "written"), "w").close()
    except OSError:
        continue
    sys.exit(f"{folder} can be written to")
"""


@dataclass(frozen=True, slots=True)
class Build:
    """The upload in `source`, and the environment that its requirements were installed into."""

    source: Path
    python: Path
    compiled: subprocess.CompletedProcess[str]
    checked: subprocess.CompletedProcess[str]

    @contextmanager
    def serving(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> Iterator["Server"]:
        """Run a server in the source's folder, with this environment and nothing else, until it is ended."""
        port = free_port()
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.source,
                env={**environment, "PORT": str(port), "PATH": f"{self.python.parent}:/usr/bin:/bin"},
                stdout=said,
                stderr=said,
            )
            server = Server(f"http://127.0.0.1:{port}/", process, lambda: (said.seek(0), said.read())[1])
            try:
                server.wait()
                yield server
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]
    said: Callable[[], str]

    def wait(self) -> None:
        """Until it listens."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, self.said()
            try:
                requests.head(self.url, timeout=5)
            except requests.ConnectionError:
                time.sleep(0.1)
            else:
                return
        pytest.fail(f"not listening after {PATIENCE} s: {self.said()}")

    def post(self, headers: Mapping[str, str] | None = None) -> int:
        """Deliver the sample; the status of the answer."""
        return requests.post(self.url, json=PUSH, headers=headers, timeout=PATIENCE).status_code

    def end(self) -> float:
        """Send SIGTERM; the seconds until the process has ended."""
        started = time.monotonic()
        self.process.terminate()
        self.process.wait(PATIENCE)
        return time.monotonic() - started


def _as_nobody(*command: str | Path) -> list[str]:
    """A command as a user who owns nothing and has no home; as oneself where one may not become another."""
    words = [str(word) for word in command]
    if os.getuid() == 0 and shutil.which("setpriv"):
        dropped = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        # setpriv itself may still start what nobody may; env may not.
        return [*dropped, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "env", *words]
    return words


def _python() -> str:
    """An interpreter that anyone may run: where this one lies in a home, it is the system's."""
    code = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    for python in (str(Path(sys.base_prefix) / "bin" / "python3"), "/usr/bin/python3"):
        command = _as_nobody(python, "-c", code)
        if Path(python).exists() and subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0:
            return python
    pytest.skip("no Python 3.11 or newer with venv that any user may run")


@pytest.fixture(scope="session")
def build() -> Iterator[Build]:
    """Built once, as Google's buildpack does: requirements into an empty environment, `compileall`, `pip check`."""
    folder = Path(tempfile.mkdtemp(prefix="upload-"))
    try:
        folder.chmod(0o755)
        source, python = folder / "app", folder / "venv" / "bin" / "python"
        source.mkdir(mode=0o755)
        copy_upload(source)
        subprocess.run([_python(), "-m", "venv", folder / "venv"], check=True)
        pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, *INSTALL, source / "requirements.txt"], check=True)
        compiled = _run([python, "-m", "compileall", "-f", "-q", "."], source)
        checked = _run([*pip, "check"], source)
        _make_read_only(folder)
        yield Build(source, python, compiled, checked)
    finally:
        subprocess.run(["chmod", "-R", "u+w", folder], check=False)
        shutil.rmtree(folder)


def _run(command: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _make_read_only(folder: Path) -> None:
    subprocess.run(["chmod", "-R", "a+rX,a-w", folder], check=True)


@pytest.fixture(scope="session")
def _sandbox() -> Iterator[Sandbox]:
    with running_sandbox(DOCUMENTS) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_sandbox: Sandbox) -> Iterator[Sandbox]:
    """Both stand-ins, with the samples' documents and an empty Klaviyo."""
    _sandbox.klaviyo.reset()
    yield _sandbox
    _sandbox.klaviyo.reset()


def _environment(sandbox: Sandbox, **extra: str) -> dict[str, str]:
    return {**sandbox.environment, **ENVIRONMENT, "HOME": "/nonexistent", "THREADS": "4", **extra}


def _effect(sandbox: Sandbox) -> list[str]:
    """What Klaviyo lacks of the sample's effect."""
    state: dict[str, Any] = sandbox.klaviyo.state()
    return SAMPLE.problems(state)


def test_google_would_build_it(build: Build) -> None:
    """Every file compiles, and what is installed fits together."""
    assert build.compiled.returncode == 0, build.compiled.stdout + build.compiled.stderr
    assert build.checked.returncode == 0, build.checked.stdout + build.checked.stderr


def test_function_answers_a_sample(build: Build, sandbox: Sandbox) -> None:
    """`functions-framework --target sync_event` syncs a sample that comes as Eventarc's CloudEvent."""
    command = [str(build.python.with_name("functions-framework")), "--target", "sync_event"]
    with build.serving(command, _environment(sandbox)) as server:
        assert server.post(CLOUD_EVENT) == 200, server.said()
    assert _effect(sandbox) == []


def test_container_runs_as_nobody(build: Build, sandbox: Sandbox) -> None:
    """`python main.py` on PORT, as a user with no home and nothing to write to, is healthy and syncs a sample."""
    writes = _as_nobody(build.python, "-c", WRITES, build.source, build.source.parent, "/nonexistent")
    if os.getuid() == 0:
        subprocess.run(writes, check=True, cwd="/")
    with build.serving(_as_nobody(build.python, "main.py"), _environment(sandbox)) as server:
        assert requests.get(server.url, timeout=PATIENCE).status_code == 200
        assert server.post() == 204, server.said()
        assert _effect(sandbox) == []
        server.end()
        assert server.process.returncode == 0, server.said()


def test_image_starts_a_job(build: Build, sandbox: Sandbox) -> None:
    """`python -m jobs backfill` in its place, as a Cloud Run job has it: as nobody, with a folder for its state."""
    sandbox.commercetools.put("categories", {"id": "c1", "version": 1, "name": {"en": "Bags"}, "ancestors": []})
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        state = Path(folder) / "backfill-state.json"
        done = subprocess.run(
            _as_nobody(build.python, "-m", "jobs", "backfill", "--share", "1", "--only", "categories"),
            cwd=build.source,
            env={**_environment(sandbox, BACKFILL_STATE=str(state)), "PATH": f"{build.python.parent}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert state.exists()
    assert sandbox.klaviyo.state()["categories"]["c1"] == "Bags"


def test_container_listens_where_it_is_told(build: Build, sandbox: Sandbox) -> None:
    """Without PORT it is PUB_SUB_PORT that counts."""
    port = free_port()
    command = ["env", "-u", "PORT", str(build.python), "main.py"]
    environment = _environment(sandbox, PUB_SUB_PORT=str(port))
    process = subprocess.Popen(command, cwd=build.source, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    server = Server(f"http://127.0.0.1:{port}/", process, str)
    try:
        server.wait()
    finally:
        server.end()


def test_sigterm_lets_a_message_end(build: Build, sandbox: Sandbox) -> None:
    """What is being worked on when SIGTERM comes is finished and acknowledged; then the process ends."""
    sandbox.klaviyo.fail("catalog-categor", delay=2, count=1)
    with build.serving(_as_nobody(build.python, "main.py"), _environment(sandbox)) as server:
        statuses: list[int] = []
        delivery = threading.Thread(target=lambda: statuses.append(server.post()))
        delivery.start()
        time.sleep(1)
        seconds = server.end()
        delivery.join()
        assert statuses == [204], server.said()
        assert server.process.returncode == 0, server.said()
    assert seconds < 8
    assert _effect(sandbox) == []


def test_sigterm_ends_what_does_not_end(build: Build, sandbox: Sandbox) -> None:
    """A message that takes longer is cut off after 8 s: Cloud Run would kill the process after 10."""
    sandbox.klaviyo.fail("catalog-categor", delay=9)
    with build.serving(_as_nobody(build.python, "main.py"), _environment(sandbox)) as server:
        delivery = threading.Thread(target=lambda: _until_cut_off(server))
        delivery.start()
        time.sleep(1)
        seconds = server.end()
        delivery.join()
    assert 6 < seconds < 10


def _until_cut_off(server: Server) -> None:
    try:
        server.post()
    except requests.ConnectionError:
        return


def test_wrong_settings_stop_the_start(build: Build) -> None:
    """Without its settings the container ends at once, with one error that lists them all."""
    environment = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "PORT": str(free_port())}
    command = _as_nobody(build.python, "main.py")
    done = subprocess.run(
        command, cwd=build.source, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 1
    for name in ("CT_API_URL", "CT_AUTH_URL", "CT_PROJECT_ID", "CT_SCOPE", "CT_API_CLIENT", "KLAVIYO_AUTH_KEY"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr
