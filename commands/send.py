"""`manage.py send`: deliver messages to a running function, or publish them to a topic."""

import base64
import json
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
import requests
from rich.progress import track

from commands.processes import TIMEOUT
from commands.pubsub_names import TOPIC
from commands.reason_words import with_words
from core.notification import OUTCOME_HEADER

_PUBLISH_TIMEOUT = 10


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload as commercetools publishes it, and the message id that Pub/Sub gives to all its deliveries."""

    data: bytes
    message_id: str


Deliver = Callable[[Payload], str]
"""Delivers a payload and returns the result. Raises click.ClickException if nothing answers."""


@click.command(epilog="Example:  python3 manage.py send samples/*.json --url http://localhost:8080 --twice")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--url", default="http://localhost:8080", show_default=True, help="Where the function listens.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["push", "cloudevent"]),
    default="push",
    show_default=True,
    help="Send Pub/Sub pushes for sync_push, or binary CloudEvents, as Eventarc does, for sync_event.",
)
@click.option(
    "--topic",
    type=TOPIC,
    help="Publish to this topic instead. With PUBSUB_EMULATOR_HOST set, to the emulator's.",
)
@click.option("--twice", is_flag=True, help="Deliver each message twice with the same message id, as Pub/Sub may.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Deliver at most this many messages per second."
)
def send(files: Sequence[Path], url: str, form: str, topic: str | None, *, twice: bool, rate: float | None) -> None:
    """Deliver messages to a running function.

    With --topic it publishes them to a topic instead. Each FILE holds one payload as commercetools publishes it. Exits
    with 1 if a message was not acknowledged.
    """
    if twice and topic:
        raise click.UsageError(
            "--twice works with --url only: each message published to a topic gets an id of its own."
        )
    once = [(file, Payload(_read(file), str(uuid.uuid4()))) for file in files]
    payloads = [delivery for delivery in once for _ in range(2 if twice else 1)]
    if topic:
        deliver = _to_topic(topic)
    elif form == "push":
        deliver = _push_to(url)
    else:
        deliver = _event_to(url)
    refused = 0
    started = time.monotonic()
    results: list[tuple[Path, str]] = []
    for number, (file, payload) in enumerate(track(payloads, "Delivering", transient=True)):
        if rate:
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
        results.append((file, deliver(payload)))
    for file, result in results:
        click.echo(f"{file}: {result}")
        refused += result.startswith("refused")
    if refused:
        raise click.ClickException(f"{refused} of {len(results)} deliveries were refused. The function's log says why.")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None


def _message(payload: Payload) -> dict[str, object]:
    return {
        "message": {
            "data": base64.b64encode(payload.data).decode(),
            "messageId": payload.message_id,
            "publishTime": datetime.now(UTC).isoformat(),
            "attributes": {},
        },
        "subscription": "projects/manage/subscriptions/send",
    }


def _push_to(url: str) -> Deliver:
    return lambda payload: _post(url, {"Content-Type": "application/json"}, payload)


def _event_to(url: str) -> Deliver:
    def deliver(payload: Payload) -> str:
        headers = {
            "Content-Type": "application/json",
            "ce-specversion": "1.0",
            "ce-id": payload.message_id,
            "ce-source": "//pubsub.googleapis.com/projects/manage/topics/send",
            "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        }
        return _post(url, headers, payload)

    return deliver


def _post(url: str, headers: dict[str, str], payload: Payload) -> str:
    try:
        response = requests.post(url, data=json.dumps(_message(payload)), headers=headers, timeout=TIMEOUT)
    except requests.exceptions.RequestException as error:
        raise click.ClickException(
            f"Nothing answers at {url} ({type(error).__name__}). Is the function running?"
        ) from None
    answer = f"{'acknowledged' if response.ok else 'refused'} ({response.status_code})"
    outcome = response.headers.get(OUTCOME_HEADER)
    return f"{answer}, {with_words(outcome)}" if outcome else answer


def _to_topic(topic: str) -> Deliver:
    from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415 - takes a second to import
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.cloud.pubsub_v1 import PublisherClient  # noqa: PLC0415

    try:
        client = PublisherClient()
    except GoogleAuthError:
        raise click.ClickException(
            "Found no Google credentials. Run gcloud auth application-default login, or set PUBSUB_EMULATOR_HOST."
        ) from None

    def deliver(payload: Payload) -> str:
        try:
            published = client.publish(topic, payload.data, timeout=_PUBLISH_TIMEOUT)
            return f"published as {published.result(timeout=_PUBLISH_TIMEOUT)}"
        except (GoogleAPIError, FutureTimeoutError, ValueError) as error:
            raise click.ClickException(f"Can't publish to {topic} ({type(error).__name__}).") from None

    return deliver
