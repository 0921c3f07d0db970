"""Pull dead letters from a subscription, publish them again, and acknowledge or release them."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from clients.dead_letter import ATTRIBUTES
from core.errors import DeadLetter
from core.notification import Envelope, parse

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient

BATCH = 100
FORWARDED = "forwarded"
"""Reason shown for a message that Pub/Sub's own dead-letter policy forwarded after the last delivery attempt."""

_FORWARDED_PREFIX = "CloudPubSubDeadLetterSource"
_MAX_ACK_DEADLINE = 600
"""Seconds: the longest ack deadline that Pub/Sub allows."""
_PUBLISH_TIMEOUT = 30.0
_CALL_TIMEOUT = 15.0
"""Seconds, for every other call except a pull."""


@dataclass(frozen=True, slots=True)
class QueuedDeadLetter:
    """A dead letter: published by the function with a reason, or forwarded by Pub/Sub."""

    id: str
    published: datetime
    data: bytes = field(repr=False)
    attributes: Mapping[str, str]
    ack_id: str = field(repr=False)
    """Acknowledges the message; valid for this pull only."""

    @property
    def is_forwarded(self) -> bool:
        """True if Pub/Sub's own dead-letter policy forwarded it. The function gave no reason for it."""
        return any(name.startswith(_FORWARDED_PREFIX) for name in self.attributes)

    @property
    def reason(self) -> str:
        """Why it was not synced: the function's reason code, or `forwarded`."""
        return FORWARDED if self.is_forwarded else self.attributes.get("reason", "")

    @property
    def attempts(self) -> str:
        """Number of delivery attempts; empty if unknown."""
        name = f"{_FORWARDED_PREFIX}DeliveryCount" if self.is_forwarded else "attempt"
        return self.attributes.get(name, "")

    @property
    def status(self) -> str:
        """The backend's HTTP status; empty if there was none."""
        return "" if self.is_forwarded else self.attributes.get("status", "")

    @property
    def error(self) -> str:
        """Class, code and refused part of the error, as the function recorded them; empty if it did not."""
        return "" if self.is_forwarded else self.attributes.get("error", "")

    @property
    def original_id(self) -> str:
        """The message's id before it was dead-lettered; empty if unknown."""
        return "" if self.is_forwarded else self.attributes.get("message_id", "")

    @property
    def resource_and_type(self) -> tuple[str, str]:
        """Resource and message type: from the attributes, else from the data; empty if the data can't be read."""
        if not self.is_forwarded and self.attributes.get("resource"):
            return self.attributes["resource"], self.attributes.get("type", "")
        try:
            notification = parse(Envelope(self.data))
        except DeadLetter:
            return "", ""
        return (str(notification.resource) if notification.resource.id else ""), notification.type

    @property
    def original_attributes(self) -> dict[str, str]:
        """The attributes without those added when it was dead-lettered."""
        own = () if self.is_forwarded else ATTRIBUTES
        return {
            name: value
            for name, value in self.attributes.items()
            if name not in own and not name.startswith(_FORWARDED_PREFIX)
        }

    def as_json(self) -> dict[str, Any]:
        """Everything except the data, which may hold personal data."""
        resource, message_type = self.resource_and_type
        return {
            "id": self.id, "when": self.published.isoformat(), "resource": resource, "type": message_type,
            "reason": self.reason, "error": self.error, "status": self.status,
            "attempts": self.attempts, "original_id": self.original_id, "bytes": len(self.data),
        }  # fmt: skip


class DeadLetterQueue:
    """The dead letters of a subscription. `close` releases those that were pulled but not acknowledged."""

    def __init__(self, subscription: str, pull_timeout: float) -> None:
        from google.cloud.pubsub_v1 import SubscriberClient  # noqa: PLC0415 - slow to import; keeps `--help` fast

        self._subscription = subscription
        self._pull_timeout = pull_timeout
        self._subscriber: SubscriberClient = SubscriberClient()
        self._publisher: PublisherClient | None = None
        self._held: dict[str, QueuedDeadLetter] = {}

    def pull(self, limit: int) -> list[QueuedDeadLetter]:
        """Up to `limit` dead letters, oldest first. They stay leased until they are acknowledged or released.

        Stops at the first pull that returns nothing new within the timeout.
        """
        from google.api_core.exceptions import DeadlineExceeded  # noqa: PLC0415 - as above

        while len(self._held) < limit:
            request = {"subscription": self._subscription, "max_messages": min(BATCH, limit - len(self._held))}
            try:
                received = self._subscriber.pull(
                    request=request, timeout=self._pull_timeout, retry=None
                ).received_messages
            except DeadlineExceeded:
                received = []
            known = len(self._held)
            for one in received:
                message = one.message
                self._held[message.message_id] = QueuedDeadLetter(
                    message.message_id, message.publish_time, message.data, dict(message.attributes), one.ack_id
                )
            self._set_ack_deadline([one.ack_id for one in received], _MAX_ACK_DEADLINE)
            if len(self._held) == known:
                break
        return sorted(self._held.values(), key=lambda letter: letter.published)

    def publish(self, letters: Sequence[QueuedDeadLetter], topic: str) -> Iterator[QueuedDeadLetter]:
        """Publish the original messages; acknowledge and yield each dead letter whose message Pub/Sub confirmed.

        Stops at the first message that can't be published, with the client library's error.
        """
        publisher = self._open_publisher()
        for start in range(0, len(letters), BATCH):
            batch = letters[start : start + BATCH]
            self._set_ack_deadline([letter.ack_id for letter in batch], _MAX_ACK_DEADLINE)
            sent = [
                publisher.publish(
                    topic, letter.data, timeout=_PUBLISH_TIMEOUT, retry=None, **letter.original_attributes
                )
                for letter in batch
            ]
            confirmed: list[QueuedDeadLetter] = []
            try:
                for letter, future in zip(batch, sent, strict=True):
                    future.result(timeout=_PUBLISH_TIMEOUT)
                    confirmed.append(letter)
            finally:
                self.acknowledge(confirmed)
            yield from confirmed

    def acknowledge(self, letters: Sequence[QueuedDeadLetter]) -> None:
        """Acknowledge these dead letters, which deletes them from the subscription."""
        for start in range(0, len(letters), BATCH):
            batch = letters[start : start + BATCH]
            request = {"subscription": self._subscription, "ack_ids": [letter.ack_id for letter in batch]}
            self._subscriber.acknowledge(request=request, timeout=_CALL_TIMEOUT)
            for letter in batch:
                self._held.pop(letter.id, None)

    def close(self) -> None:
        """Release what was not acknowledged, so that it can be pulled again at once, and close the connections."""
        try:
            self._set_ack_deadline([letter.ack_id for letter in self._held.values()], 0)
        finally:
            self._subscriber.close()
            if self._publisher:
                self._publisher.stop()

    def _set_ack_deadline(self, ack_ids: Sequence[str], seconds: int) -> None:
        for start in range(0, len(ack_ids), BATCH):
            request = {
                "subscription": self._subscription,
                "ack_ids": ack_ids[start : start + BATCH],
                "ack_deadline_seconds": seconds,
            }
            self._subscriber.modify_ack_deadline(request=request, timeout=_CALL_TIMEOUT)

    def _open_publisher(self) -> "PublisherClient":
        if self._publisher is None:
            from google.cloud.pubsub_v1 import PublisherClient  # noqa: PLC0415 - as above

            self._publisher = PublisherClient()
        return self._publisher


@contextmanager
def open_dead_letter_queue(subscription: str, pull_timeout: float) -> Iterator[DeadLetterQueue]:
    """The dead-letter queue of a subscription. `pull_timeout` is in seconds.

    Turns errors of the client library into click.ClickExceptions of one line.
    """
    from google.api_core.exceptions import GoogleAPICallError, NotFound, RetryError  # noqa: PLC0415 - as above
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    letters: DeadLetterQueue | None = None
    try:
        letters = DeadLetterQueue(subscription, pull_timeout)
        try:
            yield letters
        finally:
            letters.close()
    except GoogleAuthError as error:
        hint = "gcloud auth application-default login"
        raise click.ClickException(f"Found no Google Cloud credentials ({_first_line(error)}). Run: {hint}") from None
    except NotFound as error:
        raise click.ClickException(f"Not found in Pub/Sub: {_first_line(error)}") from None
    except (GoogleAPICallError, RetryError, FutureTimeoutError) as error:
        raise click.ClickException(f"Pub/Sub call failed: {type(error).__name__}: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return (str(getattr(error, "message", "") or error).strip().splitlines() or [""])[0][:200]
