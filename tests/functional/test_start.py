"""How the function starts in its own process, and what it says if it can't."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import requests

from commands.processes import ROOT, Sandbox, free_port
from core.version import VERSION
from tests.functional.conftest import Serve

TIMEOUT = 60
SECRET = "a-very-secret-value"
BASE = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")}


@pytest.mark.parametrize("variable", ["PORT", "PUB_SUB_PORT"])
def test_main_serves_pushes_on_its_port(sandbox: Sandbox, variable: str) -> None:
    """`python main.py` answers health checks on PORT, else on PUB_SUB_PORT, and ends on SIGTERM."""
    port = free_port()
    environment = {**BASE, **sandbox.environment, variable: str(port)}
    if variable == "PORT":
        environment["PUB_SUB_PORT"] = str(free_port())
    command = [sys.executable, "main.py"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            assert _healthy(f"http://127.0.0.1:{port}", process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()


def _healthy(url: str, process: "subprocess.Popen[Any]") -> bool:
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end and process.poll() is None:
        try:
            return requests.get(url, timeout=TIMEOUT).text == "ok\n"
        except requests.ConnectionError:
            time.sleep(0.05)
    return False


def _start(environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "functions_framework", "--target", "sync_push", "--port", str(free_port())]
    return subprocess.run(
        command, cwd=ROOT, env={**BASE, **environment}, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def test_wrong_settings_stop_the_start(sandbox: Sandbox, settings_file: Callable[[str], str]) -> None:
    """One error lists every problem of the environment and of sync.toml, and shows no secret's value."""
    wrong = {
        "CT_API_URL": "http://shop.example",
        "PUSH_AUDIENCE": "https://sync.example",
        "CT_PROJECT_ID": "no key!",
        "CT_API_CLIENT": f'{{"clientId": "a", "secret": "{SECRET}"',
        "KLAVIYO_AUTH_KEY": "",
        "APP_TYPE": "IMPORT",
        "PREFERRED_CURRENCY": "EURO",
        "DEAD_LETTER_TOPIC": "letters",
        "PUB_SUB_PORT": "eighty",
        "SYNC_CONFIG": settings_file("[product]\nunpublishd = 'hide'\n[limits]\ncall_attempts = 0\n"),
    }
    process = _start({**sandbox.environment, "CT_AUTH_URL": "", **wrong})
    assert process.returncode != 0
    output = process.stdout + process.stderr
    assert output.count("http://") == 1, "only the advice names http://: the wrong URL is not repeated"
    for name in (wrong.keys() - {"SYNC_CONFIG"}) | {"CT_AUTH_URL", "product.unpublishd", "limits.call_attempts"}:
        assert name in output
    assert "APP_TYPE must be EVENT or unset" in output
    assert "KLAVIYO_AUTH_KEY is not set" in output
    assert "product.unpublishd is not known; did you mean unpublished?" in output
    assert SECRET not in output
    assert "sandbox-secret" not in output
    assert "Traceback" not in output


REAL = {"CT_API_URL": "https://api.example.com", "CT_AUTH_URL": "https://auth.example.com"}
VERIFIED = {"PUSH_AUDIENCE": "https://sync.example", "PUSH_SERVICE_ACCOUNT": "push@p.iam.gserviceaccount.com"}
EVENTS_NOT_VERIFIED = "sync_event does not check who calls: outside Google Cloud, serve sync_push"


@pytest.mark.parametrize(
    ("target", "changes", "warnings"),
    [
        ("sync_push", REAL, ["sync_push does not check who calls: set PUSH_AUDIENCE and PUSH_SERVICE_ACCOUNT"]),
        ("sync_push", {**REAL, **VERIFIED}, []),
        ("sync_push", {**REAL, "K_SERVICE": "klaviyo-sync"}, []),
        ("sync_push", {**REAL, "PUBSUB_EMULATOR_HOST": "127.0.0.1:8085"}, []),
        ("sync_push", {}, []),
        ("sync_event", REAL, [EVENTS_NOT_VERIFIED]),
        ("sync_event", {**REAL, **VERIFIED}, [EVENTS_NOT_VERIFIED]),
        ("sync_event", {**REAL, "K_SERVICE": "klaviyo-sync"}, []),
    ],
    ids=["push", "push, checked", "push on Google", "push by the emulator", "push with stand-ins",
         "event", "event, settings of push", "event on Google"],
)  # fmt: skip
def test_callers_that_are_not_verified_are_warned_about(
    serve: Serve, target: str, changes: Mapping[str, str], warnings: Sequence[str]
) -> None:
    """One warning if anybody may call; none on Google, with stand-ins, or behind the Pub/Sub emulator."""
    ready, *others = serve(target, **changes).lines()
    assert (ready["severity"], ready["message"]) == ("INFO", f"{target} is ready, for shop")
    assert (ready["target"], ready["project"], ready["version"]) == (target, "shop", VERSION)
    assert [(line["severity"], line["message"]) for line in others] == [("WARNING", text) for text in warnings]


def test_an_unknown_order_state_is_warned_about(serve: Serve, settings_file: Callable[[str], str]) -> None:
    """The function starts anyway, as the state may be new."""
    _ready, *others = serve(SYNC_CONFIG=settings_file('[order]\nfulfilled_states = ["complete"]\n')).lines()
    assert [(line["severity"], line["message"]) for line in others] == [
        ("WARNING", "order.fulfilled_states names complete, which commercetools does not have; did you mean Complete?")
    ]


def test_main_says_once_that_it_is_ready(sandbox: Sandbox) -> None:
    """`python main.py` reads the settings, then replaces itself and reads them again. Only one of the two logs it."""
    environment = {**BASE, **sandbox.environment, **REAL, "PORT": str(free_port())}
    command = [sys.executable, "main.py"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert _healthy(f"http://127.0.0.1:{environment['PORT']}", process)
        finally:
            process.terminate()
        assert process.stdout
        assert [json.loads(line)["message"].split(":")[0] for line in process.stdout] == [
            f"sync_push is ready on port {environment['PORT']}, for shop",
            "sync_push does not check who calls",
        ]


def test_google_auth_is_not_imported_at_the_start(sandbox: Sandbox) -> None:
    """A cold start does not pay for the library that verifies tokens, with or without the settings."""
    code = "import main, sys; print([name for name in sys.modules if name.startswith('google.')])"
    for changes in ({}, VERIFIED):
        process = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**BASE, **sandbox.environment, **changes},
            capture_output=True, text=True, timeout=TIMEOUT, check=True,
        )  # fmt: skip
        assert "google.auth" not in process.stdout
