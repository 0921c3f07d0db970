"""`manage.py send`: deliver payloads to a running function, or publish them to a topic."""

import base64
import json
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import UTC, datetime
from pathlib import Path

import click
import requests
from rich.progress import track

from commands.running import PATIENCE

_TOPIC_SECONDS = 10
Deliver = Callable[[bytes], str]
"""Delivers a payload; returns what became of it, raises click.ClickException when nothing listens."""


@click.command(epilog="Example:  python manage.py send samples/*.json --url http://localhost:8080 --twice")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--url", default="http://localhost:8080", show_default=True, help="Where the function listens.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["push", "cloudevent"]),
    default="push",
    show_default=True,
    help="A Pub/Sub push, as sync_push takes it, or a binary CloudEvent, as Eventarc sends it to sync_event.",
)
@click.option(
    "--topic",
    metavar="projects/P/topics/T",
    help="Publish to this topic instead; with PUBSUB_EMULATOR_HOST, to the emulator's.",
)
@click.option("--twice", is_flag=True, help="Deliver each payload two times, as Pub/Sub may.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="At most so many deliveries a second.")
def send(files: Sequence[Path], url: str, form: str, topic: str | None, *, twice: bool, rate: float | None) -> None:
    """Deliver payloads, each FILE being one as commercetools publishes it.

    Exits with 1 if one was not acknowledged.
    """
    payloads = [(file, _read(file)) for file in files for _ in range(2 if twice else 1)]
    if topic:
        deliver = _to_topic(topic)
    elif form == "push":
        deliver = _push_to(url)
    else:
        deliver = _event_to(url)
    refused = 0
    started = time.monotonic()
    results: list[tuple[Path, str]] = []
    for number, (file, data) in enumerate(track(payloads, "Delivering", transient=True)):
        if rate:
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
        results.append((file, deliver(data)))
    for file, result in results:
        click.echo(f"{result:<22} {file}")
        refused += result.startswith("refused")
    if refused:
        raise click.ClickException(f"{refused} of {len(results)} deliveries were refused; the function's log says why.")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None


def _message(data: bytes) -> dict[str, object]:
    return {
        "message": {
            "data": base64.b64encode(data).decode(),
            "messageId": str(uuid.uuid4()),
            "publishTime": datetime.now(UTC).isoformat(),
            "attributes": {},
        },
        "subscription": "projects/manage/subscriptions/send",
    }


def _push_to(url: str) -> Deliver:
    return lambda data: _post(url, {"Content-Type": "application/json"}, data)


def _event_to(url: str) -> Deliver:
    def deliver(data: bytes) -> str:
        headers = {
            "Content-Type": "application/json",
            "ce-specversion": "1.0",
            "ce-id": str(uuid.uuid4()),
            "ce-source": "//pubsub.googleapis.com/projects/manage/topics/send",
            "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        }
        return _post(url, headers, data)

    return deliver


def _post(url: str, headers: dict[str, str], data: bytes) -> str:
    try:
        response = requests.post(url, data=json.dumps(_message(data)), headers=headers, timeout=PATIENCE)
    except requests.exceptions.RequestException as error:
        raise click.ClickException(
            f"Nothing answers at {url} ({type(error).__name__}): is the function running?"
        ) from None
    return f"{'acknowledged' if response.ok else 'refused'} ({response.status_code})"


def _to_topic(topic: str) -> Deliver:
    from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415 - a second to import, for whom it concerns
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.cloud.pubsub_v1 import PublisherClient  # noqa: PLC0415

    try:
        client = PublisherClient()
    except GoogleAuthError:
        raise click.ClickException(
            "No Google credentials here: gcloud auth application-default login, or set PUBSUB_EMULATOR_HOST."
        ) from None

    def deliver(data: bytes) -> str:
        try:
            return f"published as {client.publish(topic, data, timeout=_TOPIC_SECONDS).result(timeout=_TOPIC_SECONDS)}"
        except (GoogleAPIError, FutureTimeoutError, ValueError) as error:
            raise click.ClickException(f"{topic} does not take it ({type(error).__name__}).") from None

    return deliver
