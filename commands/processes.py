"""Run the sandbox and the function as child processes."""

import base64
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import requests

from sandbox.control import Control

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 30.0
"""Seconds for a program to start or to end, and for a message to be answered."""

NO_PUSH_AUTH = {"PUSH_AUDIENCE": "", "PUSH_SERVICE_ACCOUNT": ""}
"""Environment that turns off the check of Google's push token: neither the emulator nor a command has one."""

_SANDBOX_SECRET = "sandbox-secret"  # noqa: S105 - the sandbox accepts any


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox: controls for both stand-ins."""

    commercetools: Control
    klaviyo: Control

    @property
    def environment(self) -> dict[str, str]:
        """The environment that points the function at the sandbox."""
        return sandbox_environment(self.commercetools.url, self.klaviyo.url)


@dataclass(slots=True)
class Function:
    """A running function. `lines` are its log lines so far, `errors` its other output."""

    url: str
    process: subprocess.Popen[str]
    lines: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _outcomes: "queue.SimpleQueue[dict[str, Any]]" = field(default_factory=queue.SimpleQueue)

    def push(self, data: bytes, message_id: str, attempt: int | None = None) -> int:
        """Send a Pub/Sub push with this data. Returns the HTTP status.

        `attempt` is the delivery attempt, which Pub/Sub adds only to subscriptions with a dead-letter policy.
        """
        message = {"data": base64.b64encode(data).decode(), "messageId": message_id, "attributes": {}}
        body: dict[str, Any] = {"message": message, "subscription": "projects/sandbox/subscriptions/sandbox"}
        if attempt is not None:
            body["deliveryAttempt"] = attempt
        return requests.post(self.url, json=body, timeout=TIMEOUT).status_code

    def outcome(self, message_id: str) -> dict[str, Any]:
        """Wait for a message's log line with its outcome, and return it. Skips earlier lines of other messages."""
        end = time.monotonic() + TIMEOUT
        while True:
            line = self._outcomes.get(timeout=max(0.01, end - time.monotonic()))
            if line.get("message_id") == message_id:
                return line

    def read_output(self) -> None:
        """Collect the process's stdout until it ends."""
        for line in self.process.stdout or ():
            try:
                entry = json.loads(line)
            except ValueError:
                self.errors.append(line)
                continue
            self.lines.append(entry)
            if "outcome" in entry:
                self._outcomes.put(entry)

    def read_errors(self) -> None:
        """Collect the process's stderr until it ends."""
        self.errors.extend(self.process.stderr or ())


@contextmanager
def running_sandbox(documents: Path | None = None) -> Iterator[Sandbox]:
    """Run the sandbox in a child process."""
    command = [sys.executable, "-m", "sandbox", *(("--documents", str(documents)) if documents else ())]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, process_group=0)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise click.ClickException("The sandbox did not start; its output is above.")
        urls = json.loads(line)
        yield Sandbox(Control(urls["commercetools"]), Control(urls["klaviyo"]))
    finally:
        _terminate(process)
        if process.stdout:
            process.stdout.close()


@contextmanager
def running_function(
    environment: Mapping[str, str], target: str = "sync_push", threads: int = 8, source: Path = ROOT / "main.py"
) -> Iterator[Function]:
    """Run the function under functions-framework in a child process. `source` is its main.py."""
    port = free_port()
    command = [sys.executable, "-m", "functions_framework", "--target", target, "--source", str(source)]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        cwd=source.parent,
        env={**os.environ, **environment, "THREADS": str(threads), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    function = Function(f"http://127.0.0.1:{port}", process)
    readers = [threading.Thread(target=read) for read in (function.read_output, function.read_errors)]
    for reader in readers:
        reader.start()
    try:
        _wait_for_port(function, port)
        yield function
    finally:
        _terminate(process)
        for reader in readers:
            reader.join()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def sandbox_environment(commercetools_url: str, klaviyo_url: str) -> dict[str, str]:
    """The environment that points the function at a sandbox."""
    return {
        "CT_API_URL": commercetools_url,
        "CT_AUTH_URL": commercetools_url,
        "CT_PROJECT_ID": "shop",
        "CT_SCOPE": "view_customers:shop view_customer_groups:shop view_orders:shop view_discount_codes:shop "
        "view_payments:shop view_products:shop view_published_products:shop view_standalone_prices:shop "
        "view_states:shop",
        "CT_API_CLIENT": json.dumps({"clientId": "sandbox", "secret": _SANDBOX_SECRET}),
        "KLAVIYO_AUTH_KEY": _SANDBOX_SECRET,
        "KLAVIYO_API_URL": klaviyo_url,
        **NO_PUSH_AUTH,
    }


def free_port() -> int:
    """A free port on 127.0.0.1."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for_port(function: Function, port: int) -> None:
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        if function.process.poll() is not None:
            time.sleep(0.1)  # let the readers collect its last output
            raise click.ClickException("The function did not start:\n" + "".join(function.errors))
        try:
            # Gunicorn listens before its worker handles signals; once it answers, it does.
            requests.get(function.url, timeout=end - time.monotonic())
        except requests.ConnectionError:
            time.sleep(0.02)
        else:
            return
    raise click.ClickException(f"The function did not answer on port {port} within {TIMEOUT:.0f} s.")


def _terminate(process: subprocess.Popen[str]) -> None:
    """Terminate a child process, which leads its own process group; kill the group after TIMEOUT.

    In this process's group it would also receive the terminal's Ctrl-C. Gunicorn's workers would then get two signals
    at once, from the terminal and from their master, and could deadlock.
    """
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
