"""Dead letters: what a dead-letter subscription holds, taken, given back, published again, done with."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import TimeoutError as NotInTime
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
"""The reason of a letter that is none of ours: the subscription's own policy took it after the last attempt."""

_FORWARDED_PREFIX = "CloudPubSubDeadLetterSource"
_HELD_SECONDS = 600
"""The longest time that Pub/Sub leaves a pulled message alone."""
_PUBLISH_SECONDS = 30.0
_CALL_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: ours, with a reason, or one that Pub/Sub forwarded."""

    id: str
    when: datetime
    data: bytes = field(repr=False)
    attributes: Mapping[str, str]
    receipt: str = field(repr=False)
    """What acknowledges it, as it was pulled now."""

    @property
    def is_forwarded(self) -> bool:
        """Whether the subscription's own policy took it: the function never got it done, nor said why."""
        return any(name.startswith(_FORWARDED_PREFIX) for name in self.attributes)

    @property
    def reason(self) -> str:
        """Why it was not synced."""
        return FORWARDED if self.is_forwarded else self.attributes.get("reason", "")

    @property
    def attempts(self) -> str:
        """How often it was delivered, where that is known."""
        name = f"{_FORWARDED_PREFIX}DeliveryCount" if self.is_forwarded else "attempt"
        return self.attributes.get(name, "")

    @property
    def status(self) -> str:
        """The backend's HTTP status, where there was one."""
        return "" if self.is_forwarded else self.attributes.get("status", "")

    @property
    def error(self) -> str:
        """Class, code and refused part of the error, as the function said them; empty where it did not."""
        return "" if self.is_forwarded else self.attributes.get("error", "")

    @property
    def original_id(self) -> str:
        """The id that the message had before, where it is known."""
        return "" if self.is_forwarded else self.attributes.get("message_id", "")

    @property
    def about(self) -> tuple[str, str]:
        """Resource and type: as the letter says, else as its data says."""
        if not self.is_forwarded and self.attributes.get("resource"):
            return self.attributes["resource"], self.attributes.get("type", "")
        try:
            notification = parse(Envelope(self.data))
        except DeadLetter:
            return "", ""
        return (str(notification.resource) if notification.resource.id else ""), notification.type

    @property
    def original_attributes(self) -> dict[str, str]:
        """The attributes without those that made it a dead letter."""
        own = () if self.is_forwarded else ATTRIBUTES
        return {
            name: value
            for name, value in self.attributes.items()
            if name not in own and not name.startswith(_FORWARDED_PREFIX)
        }

    def as_json(self) -> dict[str, Any]:
        """Everything but the data, which may name persons."""
        resource, message_type = self.about
        return {
            "id": self.id, "when": self.when.isoformat(), "resource": resource, "type": message_type,
            "reason": self.reason, "error": self.error, "status": self.status,
            "attempts": self.attempts, "original_id": self.original_id, "bytes": len(self.data),
        }  # fmt: skip


class Letters:
    """Letters pulled from a subscription. None is lost: what is not acknowledged goes back when this is closed."""

    def __init__(self, subscription: str, seconds: float) -> None:
        from google.cloud.pubsub_v1 import SubscriberClient  # noqa: PLC0415 - seconds to import, not for `--help`

        self._subscription = subscription
        self._seconds = seconds
        self._subscriber: SubscriberClient = SubscriberClient()
        self._publisher: PublisherClient | None = None
        self._held: dict[str, Letter] = {}

    def pull(self, limit: int) -> list[Letter]:
        """Up to `limit` letters, the oldest first; held until they are acknowledged or given back."""
        from google.api_core.exceptions import DeadlineExceeded  # noqa: PLC0415 - as above

        while len(self._held) < limit:
            request = {"subscription": self._subscription, "max_messages": min(BATCH, limit - len(self._held))}
            try:
                received = self._subscriber.pull(request=request, timeout=self._seconds, retry=None).received_messages
            except DeadlineExceeded:
                received = []
            known = len(self._held)
            for one in received:
                message = one.message
                self._held[message.message_id] = Letter(
                    message.message_id, message.publish_time, message.data, dict(message.attributes), one.ack_id
                )
            self._leave_alone([one.ack_id for one in received], _HELD_SECONDS)
            if len(self._held) == known:
                break
        return sorted(self._held.values(), key=lambda letter: letter.when)

    def publish(self, letters: Sequence[Letter], topic: str) -> Iterator[Letter]:
        """Publish the original messages, acknowledge each letter whose message Pub/Sub has, and give it.

        Stops at a message that is not taken, with the error of the client library.
        """
        publisher = self._publishing()
        for start in range(0, len(letters), BATCH):
            batch = letters[start : start + BATCH]
            self._leave_alone([letter.receipt for letter in batch], _HELD_SECONDS)
            sent = [
                publisher.publish(
                    topic, letter.data, timeout=_PUBLISH_SECONDS, retry=None, **letter.original_attributes
                )
                for letter in batch
            ]
            confirmed: list[Letter] = []
            try:
                for letter, future in zip(batch, sent, strict=True):
                    future.result(timeout=_PUBLISH_SECONDS)
                    confirmed.append(letter)
            finally:
                self.acknowledge(confirmed)
            yield from confirmed

    def acknowledge(self, letters: Sequence[Letter]) -> None:
        """Have Pub/Sub forget these letters."""
        for start in range(0, len(letters), BATCH):
            batch = letters[start : start + BATCH]
            request = {"subscription": self._subscription, "ack_ids": [letter.receipt for letter in batch]}
            self._subscriber.acknowledge(request=request, timeout=_CALL_SECONDS)
            for letter in batch:
                self._held.pop(letter.id, None)

    def close(self) -> None:
        """Give back what is still held, at once, and close the connections."""
        try:
            self._leave_alone([letter.receipt for letter in self._held.values()], 0)
        finally:
            self._subscriber.close()
            if self._publisher:
                self._publisher.stop()

    def _leave_alone(self, receipts: Sequence[str], seconds: int) -> None:
        for start in range(0, len(receipts), BATCH):
            request = {
                "subscription": self._subscription,
                "ack_ids": receipts[start : start + BATCH],
                "ack_deadline_seconds": seconds,
            }
            self._subscriber.modify_ack_deadline(request=request, timeout=_CALL_SECONDS)

    def _publishing(self) -> "PublisherClient":
        if self._publisher is None:
            from google.cloud.pubsub_v1 import PublisherClient  # noqa: PLC0415 - as above

            self._publisher = PublisherClient()
        return self._publisher


@contextmanager
def pulled_letters(subscription: str, seconds: float) -> Iterator[Letters]:
    """Letters of a subscription; what the client library raises becomes one line for people."""
    from google.api_core.exceptions import GoogleAPICallError, NotFound, RetryError  # noqa: PLC0415 - as above
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    letters: Letters | None = None
    try:
        letters = Letters(subscription, seconds)
        try:
            yield letters
        finally:
            letters.close()
    except GoogleAuthError as error:
        hint = "gcloud auth application-default login"
        raise click.ClickException(f"There are no Google Cloud credentials ({_line(error)}); try: {hint}") from None
    except NotFound as error:
        raise click.ClickException(f"Pub/Sub does not know it: {_line(error)}") from None
    except (GoogleAPICallError, RetryError, NotInTime) as error:
        raise click.ClickException(f"Pub/Sub did not do it: {type(error).__name__}: {_line(error)}") from None


def _line(error: Exception) -> str:
    return (str(getattr(error, "message", "") or error).strip().splitlines() or [""])[0][:200]
