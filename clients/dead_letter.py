"""The dead-letter topic. A message that can never be synced is published there before it is acknowledged."""

import threading
from typing import TYPE_CHECKING

from core.errors import DeadLetter, TryAgain
from core.notification import Envelope
from core.settings import Settings

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import PublisherClient

ATTRIBUTES = frozenset({"reason", "error", "status", "resource", "type", "message_id", "attempt"})
"""Attributes of a dead letter; its data is that of the original message."""

_ERROR_BYTES = 512
_ATTRIBUTE_BYTES = 1024
"""Pub/Sub's limit for the value of an attribute."""


class DeadLetters:
    """Publishes dead letters. Without `DEAD_LETTER_TOPIC`, the subscription's own dead-letter policy has to do so."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.dead_letter_topic
        self._seconds = settings.sync.limits.dead_letter_seconds
        self._lock = threading.Lock()
        self._client: PublisherClient | None = None

    def publish(self, envelope: Envelope, error: DeadLetter, *, resource: str, message_type: str) -> None:
        """Publish the original data with attributes about the failure, and wait until Pub/Sub has accepted it.

        Raises TryAgain if there is no topic, or if publishing fails or takes too long.
        """
        if not self._topic:
            raise TryAgain("no_dead_letter_topic", status=error.status, code=error.code)
        attributes = {
            "reason": error.reason,
            "error": _truncated(
                " ".join(filter(None, (_class_or_reason(error), error.code, error.part, error.pointer))), _ERROR_BYTES
            ),
            "status": str(error.status or ""),
            "resource": resource,
            "type": message_type,
            "message_id": envelope.message_id,
            "attempt": str(envelope.attempt or ""),
        }
        attributes = {name: _truncated(value, _ATTRIBUTE_BYTES) for name, value in attributes.items() if value}
        try:
            sent = self._publisher().publish(self._topic, envelope.data, timeout=self._seconds, **attributes)
            sent.result(timeout=self._seconds)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the message must stay with Pub/Sub
            raise TryAgain("dead_letter_failed", status=error.status, code=type(failure).__name__) from None

    def close(self) -> None:
        """Close the connection."""
        if self._client:
            self._client.stop()

    def _publisher(self) -> "PublisherClient":
        with self._lock:
            if self._client is None:
                from google.cloud.pubsub_v1 import PublisherClient  # noqa: PLC0415 - cold start
                from google.cloud.pubsub_v1.types import BatchSettings  # noqa: PLC0415

                # Send each dead letter at once, instead of waiting for a batch.
                self._client = PublisherClient(batch_settings=BatchSettings(max_messages=1))
            return self._client


def _class_or_reason(error: DeadLetter) -> str:
    """The class of the error. For a plain DeadLetter, which says nothing, the reason instead."""
    return error.reason if type(error) is DeadLetter else type(error).__name__


def _truncated(text: str, size: int) -> str:
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")
