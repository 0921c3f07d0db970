"""The dead-letter topic: what can't be synced goes there before it is acknowledged."""

import threading
from typing import TYPE_CHECKING

from core.errors import DeadLetter, TryAgain
from core.notification import Envelope
from core.settings import Settings

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient

ATTRIBUTES = frozenset({"reason", "error", "status", "resource", "type", "message_id", "attempt"})
"""What a letter says beside the original data."""

_ERROR_BYTES = 512
_ATTRIBUTE_BYTES = 1024
"""Pub/Sub: the longest value of an attribute."""


class DeadLetters:
    """Publishes letters. Without a `DEAD_LETTER_TOPIC` the subscription's own dead-letter policy takes the message."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.dead_letter_topic
        self._seconds = settings.sync.limits.dead_letter_seconds
        self._lock = threading.Lock()
        self._client: PublisherClient | None = None

    def publish(self, envelope: Envelope, letter: DeadLetter, *, resource: str, message_type: str) -> None:
        """Publish the original data with what is known of the failure, and wait until Pub/Sub has it.

        Raises TryAgain when there is no topic or it did not take the letter in time.
        """
        if not self._topic:
            raise TryAgain("no_dead_letter_topic", status=letter.status, code=letter.code)
        attributes = {
            "reason": letter.reason,
            "error": _shortened(
                " ".join(filter(None, (_kind(letter), letter.code, letter.part, letter.pointer))), _ERROR_BYTES
            ),
            "status": str(letter.status or ""),
            "resource": resource,
            "type": message_type,
            "message_id": envelope.message_id,
            "attempt": str(envelope.attempt or ""),
        }
        attributes = {name: _shortened(value, _ATTRIBUTE_BYTES) for name, value in attributes.items() if value}
        try:
            sent = self._publisher().publish(self._topic, envelope.data, timeout=self._seconds, **attributes)
            sent.result(timeout=self._seconds)
        except Exception as error:  # noqa: BLE001 - whatever keeps the letter from being published, the message stays
            raise TryAgain("dead_letter_failed", status=letter.status, code=type(error).__name__) from None

    def close(self) -> None:
        """Close the connection."""
        if self._client:
            self._client.stop()

    def _publisher(self) -> "PublisherClient":
        with self._lock:
            if self._client is None:
                from google.cloud.pubsub_v1 import PublisherClient  # noqa: PLC0415 - cold start
                from google.cloud.pubsub_v1.types import BatchSettings  # noqa: PLC0415

                # A letter at a time: nothing else is waited for.
                self._client = PublisherClient(batch_settings=BatchSettings(max_messages=1))
            return self._client


def _kind(letter: DeadLetter) -> str:
    """The class of the error; the reason where that says no more than that it is a dead letter."""
    return letter.reason if type(letter) is DeadLetter else type(letter).__name__


def _shortened(text: str, size: int) -> str:
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
