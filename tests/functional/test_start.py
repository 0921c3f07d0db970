"""How the function starts as a process of its own, and how it says that it can't."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import pytest
import requests

from commands.running import ROOT, Sandbox, free_port

PATIENCE = 60
SECRET = "a-very-secret-value"
BASE = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV")}


@pytest.mark.parametrize("variable", ["PORT", "PUB_SUB_PORT"])
def test_main_serves_pushes_on_its_port(sandbox: Sandbox, variable: str) -> None:
    """`python main.py` answers health on PORT, else on PUB_SUB_PORT, and ends when it is told to."""
    port = free_port()
    environment = {**BASE, **sandbox.environment, variable: str(port)}
    if variable == "PORT":
        environment["PUB_SUB_PORT"] = str(free_port())
    command = [sys.executable, "main.py"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            assert _healthy(f"http://127.0.0.1:{port}", process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def _healthy(url: str, process: "subprocess.Popen[bytes]") -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            return requests.get(url, timeout=PATIENCE).text == "ok\n"
        except requests.ConnectionError:
            time.sleep(0.05)
    return False


def _start(environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "functions_framework", "--target", "sync_push", "--port", str(free_port())]
    return subprocess.run(
        command, cwd=ROOT, env={**BASE, **environment}, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_wrong_settings_stop_the_start(sandbox: Sandbox, settings_file: Callable[[str], str]) -> None:
    """One error lists every problem of the environment and of sync.toml, and shows no value of a secret."""
    wrong = {
        "CT_API_URL": "ftp://example.com",
        "CT_PROJECT_ID": "no key!",
        "CT_API_CLIENT": f'{{"clientId": "a", "secret": "{SECRET}"',
        "KLAVIYO_AUTH_KEY": "",
        "APP_TYPE": "IMPORT",
        "PREFERRED_CURRENCY": "EURO",
        "DEAD_LETTER_TOPIC": "letters",
        "PUB_SUB_PORT": "eighty",
        "SYNC_CONFIG": settings_file("[product]\nunpublishd = 'hide'\n[limits]\ncall_attempts = 0\n"),
    }
    stopped = _start({**sandbox.environment, "CT_AUTH_URL": "", **wrong})
    assert stopped.returncode != 0
    said = stopped.stdout + stopped.stderr
    for name in (wrong.keys() - {"SYNC_CONFIG"}) | {"CT_AUTH_URL", "product.unpublishd", "limits.call_attempts"}:
        assert name in said
    assert "APP_TYPE: must be EVENT or unset" in said
    assert "KLAVIYO_AUTH_KEY: is not set" in said
    assert "product.unpublishd: is not known" in said
    assert SECRET not in said
    assert "sandbox-secret" not in said
    assert "Traceback" not in said
