"""The upload, built as Google builds it, and run as the function, as the container and as a job."""

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
TIMEOUT = 60.0
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
"""How the buildpack calls pip (pkg/python/python.go), without `--user`: that does not work in a virtual environment."""

FAIL_IF_WRITABLE = """
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
    """The uploaded files in `source`, the environment with their requirements, and the results of two checks."""

    source: Path
    python: Path
    compiled: subprocess.CompletedProcess[str]
    checked: subprocess.CompletedProcess[str]

    @contextmanager
    def serving(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> Iterator["Server"]:
        """Run a server in the source folder, with only this environment. Kills it at the end if it still runs."""
        port = free_port()
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd=self.source,
                env={**environment, "PORT": str(port), "PATH": f"{self.python.parent}:/usr/bin:/bin"},
                stdout=output,
                stderr=output,
            )
            server = Server(f"http://127.0.0.1:{port}/", process, lambda: (output.seek(0), output.read())[1])
            try:
                server.wait()
                yield server
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `output` returns what it has written so far."""

    url: str
    process: subprocess.Popen[bytes]
    output: Callable[[], str]

    def wait(self) -> None:
        """Wait until the server listens."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            assert self.process.poll() is None, self.output()
            try:
                requests.head(self.url, timeout=5)
            except requests.ConnectionError:
                time.sleep(0.1)
            else:
                return
        pytest.fail(f"not listening after {TIMEOUT} s: {self.output()}")

    def post(self, headers: Mapping[str, str] | None = None) -> int:
        """Deliver the sample; return the status of the response."""
        return requests.post(self.url, json=PUSH, headers=headers, timeout=TIMEOUT).status_code

    def terminate(self) -> float:
        """Send SIGTERM; return the seconds until the process has ended."""
        started = time.monotonic()
        self.process.terminate()
        self.process.wait(TIMEOUT)
        return time.monotonic() - started


def _as_nobody(*command: str | Path) -> list[str]:
    """The command, to be run as a user without a home or files. Unchanged if this user can't switch to another."""
    words = [str(word) for word in command]
    if os.getuid() == 0 and shutil.which("setpriv"):
        as_user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        # setpriv itself could still run files that nobody may not; env could not.
        return [*as_user, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "env", *words]
    return words


def _python() -> str:
    """A Python that any user may run: this one, or the system's if this one is in a home directory."""
    code = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    for python in (str(Path(sys.base_prefix) / "bin" / "python3"), "/usr/bin/python3"):
        command = _as_nobody(python, "-c", code)
        if Path(python).exists() and subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0:
            return python
    pytest.skip("no Python 3.11 or newer with venv that any user may run")


@pytest.fixture(scope="session")
def build() -> Iterator[Build]:
    """Build as Google's buildpack does, once: install requirements.txt, then run `compileall` and `pip check`."""
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
    """The sandbox, with the samples' documents in commercetools and an empty Klaviyo."""
    _sandbox.klaviyo.reset()
    yield _sandbox
    _sandbox.klaviyo.reset()


def _environment(sandbox: Sandbox, **extra: str) -> dict[str, str]:
    return {**sandbox.environment, **ENVIRONMENT, "HOME": "/nonexistent", "THREADS": "4", **extra}


def _missing_effects(sandbox: Sandbox) -> list[str]:
    """The effects of the sample that Klaviyo does not show."""
    state: dict[str, Any] = sandbox.klaviyo.state()
    return SAMPLE.problems(state)


def test_the_build_succeeds(build: Build) -> None:
    """Every file compiles, and the installed packages are compatible with each other."""
    assert build.compiled.returncode == 0, build.compiled.stdout + build.compiled.stderr
    assert build.checked.returncode == 0, build.checked.stdout + build.checked.stderr


def test_function_syncs_a_sample(build: Build, sandbox: Sandbox) -> None:
    """`functions-framework --target sync_event` syncs a sample that arrives as Eventarc's CloudEvent."""
    command = [str(build.python.with_name("functions-framework")), "--target", "sync_event"]
    with build.serving(command, _environment(sandbox)) as server:
        assert server.post(CLOUD_EVENT) == 200, server.output()
    assert _missing_effects(sandbox) == []


def test_container_runs_as_nobody(build: Build, sandbox: Sandbox) -> None:
    """`python main.py` serves PORT as a user who can't write anywhere: it is healthy and syncs a sample."""
    write_check = _as_nobody(build.python, "-c", FAIL_IF_WRITABLE, build.source, build.source.parent, "/nonexistent")
    if os.getuid() == 0:
        subprocess.run(write_check, check=True, cwd="/")
    with build.serving(_as_nobody(build.python, "main.py"), _environment(sandbox)) as server:
        assert requests.get(server.url, timeout=TIMEOUT).status_code == 200
        assert server.post() == 204, server.output()
        assert _missing_effects(sandbox) == []
        server.terminate()
        assert server.process.returncode == 0, server.output()


def test_image_runs_a_job(build: Build, sandbox: Sandbox) -> None:
    """`python -m jobs backfill` runs like a Cloud Run job: as a user without rights, with a folder for its state."""
    sandbox.commercetools.put("categories", {"id": "c1", "version": 1, "name": {"en": "Bags"}, "ancestors": []})
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        state = Path(folder) / "backfill-state.json"
        finished = subprocess.run(
            _as_nobody(build.python, "-m", "jobs", "backfill", "--share", "1", "--only", "categories"),
            cwd=build.source,
            env={**_environment(sandbox, BACKFILL_STATE=str(state)), "PATH": f"{build.python.parent}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert state.exists()
    assert sandbox.klaviyo.state()["categories"]["c1"] == "Bags"


def test_container_listens_on_pub_sub_port(build: Build, sandbox: Sandbox) -> None:
    """If PORT is not set, PUB_SUB_PORT is used."""
    port = free_port()
    command = ["env", "-u", "PORT", str(build.python), "main.py"]
    environment = _environment(sandbox, PUB_SUB_PORT=str(port))
    process = subprocess.Popen(command, cwd=build.source, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    server = Server(f"http://127.0.0.1:{port}/", process, str)
    try:
        server.wait()
    finally:
        server.terminate()


def test_sigterm_lets_a_message_finish(build: Build, sandbox: Sandbox) -> None:
    """A message in progress at SIGTERM is finished and acknowledged; then the process ends."""
    sandbox.klaviyo.fail("catalog-categor", delay=2, count=1)
    with build.serving(_as_nobody(build.python, "main.py"), _environment(sandbox)) as server:
        statuses: list[int] = []
        delivery = threading.Thread(target=lambda: statuses.append(server.post()))
        delivery.start()
        _wait_for_a_call(sandbox)
        seconds = server.terminate()
        delivery.join()
        assert statuses == [204], server.output()
        assert server.process.returncode == 0, server.output()
    assert seconds < 8
    assert _missing_effects(sandbox) == []


def test_sigterm_cuts_off_a_slow_message(build: Build, sandbox: Sandbox) -> None:
    """A message that does not finish is cut off after 8 s, because Cloud Run kills the process after 10 s."""
    sandbox.klaviyo.fail("catalog-categor", delay=30)
    with build.serving(_as_nobody(build.python, "main.py"), _environment(sandbox)) as server:
        delivery = threading.Thread(target=lambda: _post_until_cut_off(server))
        delivery.start()
        _wait_for_a_call(sandbox)
        seconds = server.terminate()
        delivery.join()
    assert 6 < seconds < 10


def _wait_for_a_call(sandbox: Sandbox) -> None:
    """Wait until the function has called Klaviyo. An injected delay then holds up the answer."""
    end = time.monotonic() + TIMEOUT
    while not sandbox.klaviyo.requests(kind="api"):
        assert time.monotonic() < end, "no request to Klaviyo"
        time.sleep(0.05)


def _post_until_cut_off(server: Server) -> None:
    try:
        server.post()
    except requests.ConnectionError:
        return


def test_wrong_settings_stop_the_start(build: Build) -> None:
    """Without its settings the container ends immediately, with one error that lists all of them."""
    environment = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "PORT": str(free_port())}
    command = _as_nobody(build.python, "main.py")
    finished = subprocess.run(
        command, cwd=build.source, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT
    )
    assert finished.returncode == 1
    for name in ("CT_API_URL", "CT_AUTH_URL", "CT_PROJECT_ID", "CT_SCOPE", "CT_API_CLIENT", "KLAVIYO_AUTH_KEY"):
        assert name in finished.stderr
    assert "Traceback" not in finished.stderr
