"""Run gcloud's Pub/Sub emulator and call its REST API."""

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import requests

from commands.processes import free_port

_USUAL_ROOTS = (
    Path("/usr/lib/google-cloud-sdk"),
    Path("/usr/share/google-cloud-sdk"),
    Path("/opt/google-cloud-sdk"),
    Path("/snap/google-cloud-sdk/current"),
    Path.home() / "google-cloud-sdk",
)
_JAR = "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"
_JVM_OPTIONS = ("-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_TIMEOUT = 30.0
_OK = 200


class EmulatorError(Exception):
    """The emulator can't be started, or refused a call; the text says why."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator. Topics and subscriptions are given by short name, all in one project."""

    host: str
    project: str = "demo"

    @property
    def environment(self) -> dict[str, str]:
        """The environment that points Google's client libraries at the emulator."""
        return {"PUBSUB_EMULATOR_HOST": self.host, "PUBSUB_PROJECT_ID": self.project}

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return f"projects/{self.project}/topics/{name}"

    def subscription(self, name: str) -> str:
        """The full name of a subscription."""
        return f"projects/{self.project}/subscriptions/{name}"

    def create_topic(self, name: str) -> str:
        """Create a topic. Returns its full name."""
        self._call("PUT", self.topic(name))
        return self.topic(name)

    def create_subscription(
        self,
        name: str,
        topic: str,
        *,
        push_to: str | None = None,
        dead_letters_to: str | None = None,
        attempts: int = 5,
        ack_deadline: int = 60,
    ) -> str:
        """Create a subscription of a topic, for pull or push to a URL. Returns its full name."""
        body: dict[str, Any] = {"topic": self.topic(topic), "ackDeadlineSeconds": ack_deadline}
        if push_to:
            body["pushConfig"] = {"pushEndpoint": push_to}
        if dead_letters_to:
            body["deadLetterPolicy"] = {
                "deadLetterTopic": self.topic(dead_letters_to),
                "maxDeliveryAttempts": attempts,
            }
        self._call("PUT", self.subscription(name), body)
        return self.subscription(name)

    def push_to(self, name: str, url: str) -> None:
        """Push a subscription's messages to another URL; with an empty one, make it a pull subscription."""
        config = {"pushEndpoint": url} if url else {}
        self._call("POST", f"{self.subscription(name)}:modifyPushConfig", {"pushConfig": config})

    def publish(self, topic: str, messages: Sequence[bytes], attributes: Mapping[str, str] | None = None) -> list[str]:
        """Publish messages with the same attributes. Returns their ids."""
        body = [{"data": base64.b64encode(data).decode(), "attributes": dict(attributes or {})} for data in messages]
        ids: list[str] = self._call("POST", f"{self.topic(topic)}:publish", {"messages": body})["messageIds"]
        return ids

    def pull(self, subscription: str, limit: int = 100) -> list[dict[str, Any]]:
        """Pull and acknowledge waiting messages: `data` (decoded), `attributes` and `messageId` of each."""
        answer = self._call(
            "POST", f"{self.subscription(subscription)}:pull", {"maxMessages": limit, "returnImmediately": True}
        )
        received = answer.get("receivedMessages") or []
        if received:
            ids = [one["ackId"] for one in received]
            self._call("POST", f"{self.subscription(subscription)}:acknowledge", {"ackIds": ids})
        return [
            {
                **one["message"],
                "data": base64.b64decode(one["message"].get("data", "")),
                "attributes": one["message"].get("attributes") or {},
            }
            for one in received
        ]

    def remove(self, *subscriptions: str) -> None:
        """Delete subscriptions and their messages. Ignores those that do not exist."""
        for name in subscriptions:
            with contextlib.suppress(EmulatorError):
                self.delete(self.subscription(name))

    def delete(self, full_name: str) -> None:
        """Delete a topic or subscription by its full name."""
        self._call("DELETE", full_name)

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        response = requests.request(method, f"http://{self.host}/v1/{path}", json=body, timeout=_TIMEOUT)
        if response.status_code != _OK:
            raise EmulatorError(f"{method} {path}: {response.status_code} {response.text[:300]}")
        answer: dict[str, Any] = response.json()
        return answer


@contextmanager
def running_emulator() -> Iterator[Emulator]:
    """An emulator on a free port. Raises EmulatorError if java or the emulator is missing, or if it does not start."""
    java, jar = shutil.which("java"), emulator_jar()
    if not java:
        raise EmulatorError("java is not installed")
    if not jar:
        raise EmulatorError("gcloud's component pubsub-emulator is not installed")
    port = free_port()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [java, *_JVM_OPTIONS, "-jar", str(jar), "--host=127.0.0.1", f"--port={port}"], stdout=output, stderr=output
        )
        try:
            host = f"127.0.0.1:{port}"
            _wait_until_ready(process, host, output)
            yield Emulator(host)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def emulator_jar() -> Path | None:
    """The emulator's jar in gcloud's folder; None if it is not installed."""
    for root in (*_gcloud_roots(), *_USUAL_ROOTS):
        for jar in sorted(root.glob(_JAR), reverse=True):
            return jar
    return None


def _gcloud_roots() -> Iterator[Path]:
    """Folders where gcloud may be installed. Calling `gcloud info` takes seconds, so it comes last."""
    if root_dir := os.environ.get("CLOUDSDK_ROOT_DIR"):
        yield Path(root_dir)
    gcloud = shutil.which("gcloud")
    if not gcloud:
        return
    yield Path(gcloud).resolve().parents[1]
    if any(list(root.glob(_JAR)) for root in _USUAL_ROOTS):
        return
    command = [gcloud, "info", "--format=value(installation.sdk_root)"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return
    if answer:
        yield Path(answer)


def _wait_until_ready(process: subprocess.Popen[bytes], host: str, output: IO[str]) -> None:
    end = time.monotonic() + _TIMEOUT
    while time.monotonic() < end:
        if process.poll() is not None:
            output.seek(0)
            raise EmulatorError(f"the emulator did not start: {output.read()[-500:]}")
        try:
            if requests.get(f"http://{host}/", timeout=1).status_code == _OK:
                return
        except requests.RequestException:
            time.sleep(0.05)
    raise EmulatorError(f"the emulator is not ready after {_TIMEOUT:.0f} s")
