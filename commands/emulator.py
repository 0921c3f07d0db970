"""The Pub/Sub emulator that comes with gcloud, as a program of its own, and its REST interface."""

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
_SMALL = ("-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_PATIENCE = 30.0
_OK = 200


class EmulatorError(Exception):
    """The emulator can't be had, or did not do what it was asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator. Topics and subscriptions go by their short names, all in one project."""

    host: str
    project: str = "demo"

    @property
    def environment(self) -> dict[str, str]:
        """What points Google's client libraries at it."""
        return {"PUBSUB_EMULATOR_HOST": self.host, "PUBSUB_PROJECT_ID": self.project}

    def topic(self, name: str) -> str:
        """The full name of a topic."""
        return f"projects/{self.project}/topics/{name}"

    def subscription(self, name: str) -> str:
        """The full name of a subscription."""
        return f"projects/{self.project}/subscriptions/{name}"

    def create_topic(self, name: str) -> str:
        """Make a topic; its full name."""
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
        """Make a subscription of a topic, to pull from or pushed to a URL; its full name."""
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
        """Push a subscription's messages to another URL; to none with an empty one."""
        config = {"pushEndpoint": url} if url else {}
        self._call("POST", f"{self.subscription(name)}:modifyPushConfig", {"pushConfig": config})

    def publish(self, topic: str, messages: Sequence[bytes], attributes: Mapping[str, str] | None = None) -> list[str]:
        """Publish data, each with the same attributes; the ids of the messages."""
        body = [{"data": base64.b64encode(data).decode(), "attributes": dict(attributes or {})} for data in messages]
        ids: list[str] = self._call("POST", f"{self.topic(topic)}:publish", {"messages": body})["messageIds"]
        return ids

    def pull(self, subscription: str, most: int = 100) -> list[dict[str, Any]]:
        """Take and acknowledge what waits in a subscription: `data` decoded, `attributes`, `messageId`."""
        answer = self._call(
            "POST", f"{self.subscription(subscription)}:pull", {"maxMessages": most, "returnImmediately": True}
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
        """Delete subscriptions with what they hold; those that do not exist are passed over."""
        for name in subscriptions:
            with contextlib.suppress(EmulatorError):
                self.delete(self.subscription(name))

    def delete(self, full_name: str) -> None:
        """Delete a topic or a subscription."""
        self._call("DELETE", full_name)

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        response = requests.request(method, f"http://{self.host}/v1/{path}", json=body, timeout=_PATIENCE)
        if response.status_code != _OK:
            raise EmulatorError(f"{method} {path}: {response.status_code} {response.text[:300]}")
        answer: dict[str, Any] = response.json()
        return answer


@contextmanager
def running_emulator() -> Iterator[Emulator]:
    """The emulator on a free port. Raises EmulatorError where java or the emulator is missing, or it does not start."""
    java, jar = shutil.which("java"), emulator_jar()
    if not java:
        raise EmulatorError("there is no java")
    if not jar:
        raise EmulatorError("gcloud's component pubsub-emulator is not there")
    port = free_port()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [java, *_SMALL, "-jar", str(jar), "--host=127.0.0.1", f"--port={port}"], stdout=said, stderr=said
        )
        try:
            host = f"127.0.0.1:{port}"
            _await_ready(process, host, said)
            yield Emulator(host)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def emulator_jar() -> Path | None:
    """The emulator's jar in gcloud's folder, where it is installed."""
    for root in (*_gcloud_roots(), *_USUAL_ROOTS):
        for jar in sorted(root.glob(_JAR), reverse=True):
            return jar
    return None


def _gcloud_roots() -> Iterator[Path]:
    """Where gcloud says it is, and where its program lies: asking it takes seconds, so it comes last."""
    if told := os.environ.get("CLOUDSDK_ROOT_DIR"):
        yield Path(told)
    gcloud = shutil.which("gcloud")
    if not gcloud:
        return
    yield Path(gcloud).resolve().parents[1]
    if any(list(root.glob(_JAR)) for root in _USUAL_ROOTS):
        return
    command = [gcloud, "info", "--format=value(installation.sdk_root)"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return
    if answer:
        yield Path(answer)


def _await_ready(process: subprocess.Popen[bytes], host: str, said: IO[str]) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            said.seek(0)
            raise EmulatorError(f"the emulator did not start: {said.read()[-500:]}")
        try:
            if requests.get(f"http://{host}/", timeout=1).status_code == _OK:
                return
        except requests.RequestException:
            time.sleep(0.05)
    raise EmulatorError(f"the emulator is not ready after {_PATIENCE:.0f} s")
