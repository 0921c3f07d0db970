"""Fixtures that run the function over real HTTP against the sandbox.

After each test, everything the function logged is checked for personal data and secrets.
"""

import base64
import itertools
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import functions_framework
import pytest
import requests
from click.testing import CliRunner, Result
from werkzeug.serving import WSGIRequestHandler, make_server

from clients.dead_letter import DeadLetters
from commands.emulator import Emulator, EmulatorError, running_emulator
from commands.processes import ROOT, Sandbox, running_sandbox
from core.settings import Settings, load_settings
from manage import manage
from sandbox.samples import ENVIRONMENT
from tests.functional.body_checks import RecordingControl, SdkBodies, assert_contract_kept, assert_nothing_dropped
from tests.functional.bulk_shop import fill
from tests.functional.documents import customer
from tests.functional.failure_cases import TOPIC, FakeTopic
from tests.functional.job_runs import Job
from tests.functional.lookup_shop import documents

ACKNOWLEDGED = 204
REFUSED = 503

SKIP_REREAD = "[limits]\nstale_after = 30\n"
"""A sync.toml that skips the read after each write, unless the write took over 30 seconds."""

_PERSONAL = {
    "email", "customerEmail", "firstName", "lastName", "phone", "mobile", "streetName", "streetNumber", "city",
    "postalCode", "companyName", "additionalStreetInfo", "additionalAddressInfo",
}  # fmt: skip
_TOO_SHORT = 4
"""Ignore values up to this length, such as house numbers: they occur in ids and times by chance."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The HTTP status of a push, and the log line with the message's outcome."""

    status: int
    line: Mapping[str, Any]

    @property
    def outcome(self) -> str:
        """synced, ignored, dead-lettered or retried."""
        return str(self.line["outcome"])

    @property
    def reason(self) -> str:
        """The reason code of the outcome; empty if it has none."""
        return str(self.line.get("reason", ""))


@dataclass(slots=True)
class Function:
    """A running function server."""

    url: str
    capture: pytest.CaptureFixture[str]
    out: list[str] = field(default_factory=list)
    personal: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _lines_lock: threading.Lock = field(default_factory=threading.Lock)

    def deliver(self, payload: Mapping[str, Any] | bytes, **top_level: Any) -> Answer:
        """Push a commercetools delivery in Pub/Sub's envelope, and wait for its outcome."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        message_id = f"message-{next(self._numbers)}"
        message = {"data": base64.b64encode(data).decode(), "messageId": message_id, "attributes": {}}
        body = {"message": message, "subscription": "projects/p/subscriptions/s", **top_level}
        response = self.post(json.dumps(body).encode())
        return Answer(response.status_code, self.line(message_id))

    def post(self, body: bytes, **headers: str) -> requests.Response:
        """Send a request body unchanged."""
        self.note_personal(body)
        return requests.post(self.url, data=body, headers={"Content-Type": "application/json", **headers}, timeout=60)

    def lines(self) -> list[dict[str, Any]]:
        """All log lines so far."""
        with self._lines_lock:  # concurrent readouterr calls may return the same text twice
            self.out.append(self.capture.readouterr().out)
        return [json.loads(line) for line in "".join(self.out).splitlines()]

    def line(self, message_id: str) -> dict[str, Any]:
        """The log line with a message's outcome. There must be exactly one."""
        found = [line for line in self.lines() if line.get("message_id") == message_id and "outcome" in line]
        assert len(found) == 1, f"{len(found)} outcome lines for {message_id}"
        return found[0]

    def note_personal(self, body: bytes) -> None:
        """Collect the personal data of a request: none of it may be logged."""
        try:
            decoded = json.loads(body)
            self.personal |= _personal(decoded)
            self.personal |= _personal(json.loads(base64.b64decode(decoded["message"]["data"])))
        except (ValueError, TypeError, KeyError, RecursionError):
            return


@pytest.fixture(scope="session")
def _sandbox() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_sandbox: Sandbox) -> Iterator[Sandbox]:
    """Both stand-ins, empty. Afterwards, check every body that Klaviyo accepted against its API contract."""
    _sandbox.commercetools.reset()
    _sandbox.klaviyo.reset()
    klaviyo = RecordingControl(_sandbox.klaviyo.url)
    yield Sandbox(_sandbox.commercetools, klaviyo)
    assert_contract_kept(klaviyo.all_requests())


@pytest.fixture
def buyer(sandbox: Sandbox) -> None:
    """Create customer-1, the owner of the default order."""
    sandbox.commercetools.put("customers", customer())


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """The Pub/Sub emulator. Tests that use it share one xdist group, so that only one emulator runs."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(running_emulator())
        except EmulatorError as error:
            if os.environ.get("REQUIRE_EMULATOR"):
                raise
            pytest.skip(f"the Pub/Sub emulator is not installed: {error}")
        yield running


@pytest.fixture
def settings_file(tmp_path: Path) -> Callable[[str], str]:
    """Write a sync.toml with the given text; return its path, for SYNC_CONFIG."""

    def write(text: str) -> str:
        path = tmp_path / "sync.toml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def job(sandbox: Sandbox, tmp_path: Path) -> Job:
    """A backfill of the sandbox's shop."""
    return Job(sandbox, tmp_path)


ManagePy = Callable[..., Result]


@pytest.fixture
def manage_py(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> ManagePy:
    """Run `manage.py …` against the sandbox, with extra environment variables: `manage_py("check", NAME="value")`."""

    def run(*arguments: str, **environment: str) -> Result:
        for name, value in {**sandbox.environment, **environment}.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(manage, [*arguments])

    return run


@pytest.fixture
def subscribed(manage_py: ManagePy) -> None:
    """Create the Subscriptions that the default sync.toml needs."""
    assert manage_py("subscriptions", "apply", "--yes", "--topic", "projects/p/topics/t").exit_code == 0


Run = Callable[..., Result]


@pytest.fixture
def run(sandbox: Sandbox, settings_file: Callable[[str], str]) -> Run:
    """Run `manage.py …` against the sandbox with short backoffs: `run("resync", …, answer="y", NAME="value")`.

    `answer` is typed at prompts.
    """
    quick = settings_file("[limits]\nbackoff = 0.01\n")

    def invoke(*arguments: str, answer: str | None = None, **environment: str) -> Result:
        variables = {**sandbox.environment, **ENVIRONMENT, "SYNC_CONFIG": quick, **environment}
        return CliRunner(env=variables).invoke(manage, arguments, input=answer)

    return invoke


@pytest.fixture
def shop(sandbox: Sandbox) -> Sandbox:
    """The sandbox with the shop of `lookup_shop`."""
    sandbox.commercetools.put_all(documents())
    return sandbox


@pytest.fixture
def bulk_shop(sandbox: Sandbox) -> Sandbox:
    """The sandbox with the shop of `bulk_shop`."""
    fill(sandbox)
    return sandbox


@pytest.fixture
def settings(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that point to the sandbox."""
    for name, value in {**sandbox.environment, **ENVIRONMENT, "SYNC_CONFIG": ""}.items():
        monkeypatch.setenv(name, value)
    return load_settings()


Serve = Callable[..., Function]


@pytest.fixture
def serve(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Serve]:
    """Start a function server: `serve(target="sync_push", NAME="value")`.

    Afterwards, check its log for personal data and secrets, and check that Klaviyo received everything that was passed
    to the SDK.
    """
    given = SdkBodies()
    given.watch(monkeypatch)
    closing: list[Callable[[], None]] = []
    functions: list[Function] = []

    def start(target: str = "sync_push", **environment: str) -> Function:
        for name, value in {**sandbox.environment, **ENVIRONMENT, "THREADS": "8", **environment}.items():
            monkeypatch.setenv(name, value)
        for name in ("FUNCTION_TARGET", "FUNCTION_SIGNATURE_TYPE"):
            monkeypatch.setenv(name, "")  # functions-framework sets them: this restores them after the test
        app = functions_framework.create_app(target, str(ROOT / "main.py"))
        server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Silent)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        services = sys.modules["main"].SERVICES

        def close() -> None:
            server.shutdown()
            thread.join()
            server.server_close()
            services.close()

        closing.append(close)
        functions.append(Function(f"http://127.0.0.1:{server.server_port}", capsys))
        return functions[-1]

    yield start
    for close in closing:
        close()
    for function in functions:
        _assert_log_is_safe(function, sandbox, capsys)
    assert isinstance(sandbox.klaviyo, RecordingControl)
    assert_nothing_dropped(given, sandbox.klaviyo.all_requests())


@pytest.fixture
def dead_letters(monkeypatch: pytest.MonkeyPatch) -> FakeTopic:
    """A topic that receives all dead letters of the function servers that the test starts after it."""
    topic = FakeTopic()
    monkeypatch.setenv("DEAD_LETTER_TOPIC", TOPIC)
    monkeypatch.setattr(DeadLetters, "_publisher", lambda _: topic)
    return topic


@pytest.fixture
def function(serve: Serve) -> Function:
    """A `sync_push` function server with the settings that the samples are written for."""
    return serve()


@pytest.fixture
def steady(serve: Serve, settings_file: Callable[[str], str]) -> Function:
    """A function server that doesn't re-read after writes, so that its calls can be counted on a slow machine too."""
    return serve(SYNC_CONFIG=settings_file(SKIP_REREAD))


ServeConsent = Callable[[str], Function]


@pytest.fixture
def serve_consent(serve: Serve, settings_file: Callable[[str], str]) -> ServeConsent:
    """Start a function server with these consent rules, without re-reads after writes: `serve_consent(RULES)`."""
    return lambda rules: serve(SYNC_CONFIG=settings_file(f"{rules}\n{SKIP_REREAD}backoff = 0.01\n"))


Configured = Callable[[str], Function]


@pytest.fixture
def configured(serve: Serve, settings_file: Callable[[str], str]) -> Configured:
    """Start a function server with this sync.toml: `configured(TEXT)`."""
    return lambda text: serve(SYNC_CONFIG=settings_file(text))


class _Silent(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        """Print no access log: the function's own log is under test."""


def _assert_log_is_safe(function: Function, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """Check that the log holds no personal data, no secret and no traceback."""
    captured = capsys.readouterr()
    log = "".join(function.out) + captured.out + captured.err
    personal = function.personal | _personal(sandbox.commercetools.state())
    secrets = {"sandbox-secret", "Bearer ", "Klaviyo-API-Key"}
    shown = [value for value in personal | secrets if value in log]
    assert not shown, "the log shows personal data or a secret"
    assert not re.search(r"[\w.+-]+@[\w-]+\.\w+", log), "the log shows an e-mail address"
    assert "Traceback" not in log


def _personal(document: Any) -> set[str]:
    """Values of a document's personal fields."""
    match document:
        case dict():
            own = {
                value
                for name, value in document.items()
                if name in _PERSONAL and isinstance(value, str) and len(value) > _TOO_SHORT
            }
            return own.union(*(_personal(value) for value in document.values()))
        case list():
            return set().union(*(_personal(value) for value in document))
    return set()
