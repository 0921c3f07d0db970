"""`manage.py send` delivers payloads as Pub/Sub would."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from commands.processes import ROOT, Sandbox, free_port
from sandbox.samples import SAMPLES
from tests.functional.conftest import Serve
from tests.functional.scripted_server import Received, http_response, scripted

TEST_NOTIFICATION = str(SAMPLES / "01-subscription-test.json")


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Exit code and output of the command."""

    exit_code: int
    output: str


def _send(*arguments: str) -> CommandResult:
    """Run the command in its own process: the function under test logs to the stdout of this one."""
    command = [sys.executable, "manage.py", "send", *arguments]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return CommandResult(process.returncode, process.stdout + process.stderr)


@pytest.mark.parametrize(
    ("target", "form"), [("sync_push", "push"), ("sync_event", "cloudevent"), ("sync_event", "push")]
)
def test_a_payload_is_delivered_and_acknowledged(serve: Serve, target: str, form: str) -> None:
    """It is sent as a push or as a CloudEvent. --twice sends it twice with the same message id."""
    function = serve(target)
    result = _send(TEST_NOTIFICATION, "--url", function.url, "--as", form, "--twice")
    assert result.exit_code == 0, result.output
    answers = re.findall(
        r"acknowledged \(20[04]\), ignored: test_notification \(.* testing the subscription\)\n", result.output
    )
    lines = [line for line in function.lines() if "outcome" in line]
    assert (len(answers), [line["reason"] for line in lines]) == (2, ["test_notification"] * 2)
    assert len({line["message_id"] for line in lines}) == 1


def test_a_refusal_is_an_exit_status(serve: Serve, sandbox: Sandbox, tmp_path: Path) -> None:
    """A refused delivery is listed, and the command fails."""
    sandbox.commercetools.fail(status=503)
    settings = tmp_path / "sync.toml"
    settings.write_text("[limits]\nbackoff = 0.01\n", encoding="utf-8")
    function = serve(SYNC_CONFIG=str(settings))
    result = _send(str(SAMPLES / "13-customer-created.json"), TEST_NOTIFICATION, "--url", function.url)
    assert result.exit_code == 1
    assert "refused (503), retried: commercetools_error 503 (commercetools is down)\n" in result.output
    assert "1 of 2 deliveries were refused" in result.output


def test_the_rate_is_not_exceeded() -> None:
    """At 4 per second, the fifth payload is sent a second after the first."""
    arrivals: list[float] = []

    def script(_: Received) -> list[bytes]:
        arrivals.append(time.monotonic())
        return [http_response(status="204 No Content")]

    with scripted(script) as backend:
        started = time.monotonic()
        assert _send(*[TEST_NOTIFICATION] * 5, "--url", backend.server.url, "--rate", "4").exit_code == 0
    assert len(arrivals) == 5
    assert arrivals[4] - started > 0.99


def test_no_server_at_the_url() -> None:
    """One clear line, exit 1."""
    result = _send(TEST_NOTIFICATION, "--url", f"http://127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    assert "Is the function running?" in result.output.splitlines()[-1]


def test_twice_needs_a_url() -> None:
    """A topic gives each message its own id, so --twice is refused and nothing is published."""
    result = _send(TEST_NOTIFICATION, "--topic", "projects/p/topics/t", "--twice")
    assert result.exit_code == 2
    assert result.output.splitlines()[-1].startswith("Error: --twice works with --url only")


def test_a_missing_file() -> None:
    """One clear line, exit 1, and nothing is delivered."""
    result = _send("nowhere.json")
    assert (result.exit_code, result.output) == (1, "Error: nowhere.json: No such file or directory\n")
